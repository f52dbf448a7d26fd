// Requests about pathways: always of the network with all units on.
import { aborting, address, json, maps, type Maps } from "../../source/server";
import type { Pathways, Proof } from "../../api/wire";

export interface Asked {
  readonly image: string;
  readonly target: number | null;
  readonly contrast: number | null;
}

const query = ({ image, target, contrast }: Asked) => ({ image, target, contrast });

export const pathways = (asked: Asked, signal?: AbortSignal): Promise<Pathways> =>
  json(address("/api/pathways", query(asked)), aborting(signal));

export const proof = (asked: Asked, signal?: AbortSignal): Promise<Proof[]> =>
  json(address("/api/pathways/proof", query(asked)), aborting(signal));

/** What the drawn channels of a layer give to the target's logit, place by place. */
export const contributions = (asked: Asked, layer: string): Promise<Maps> =>
  maps(address("/api/pathways/maps", { ...query(asked), layer }));

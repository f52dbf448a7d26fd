// What the pathways request: always of the network with all units on.
import type { Schemas } from "../../api/wire";
import type { Maps } from "../../model/maps";
import type { Source } from "../../source/source";

export type Pathways = Schemas["Pathways"];
export type PathwayLayer = Schemas["PathwayLayer"];
export type Proof = Schemas["Proof"];

export interface PathwaysRequest {
  readonly image: string;
  readonly target: number | null;
  readonly contrast: number | null;
}

export const pathways = (
  source: Source,
  request: PathwaysRequest,
  signal?: AbortSignal,
): Promise<Pathways> => source.lens("/api/pathways", request, signal);

export const proof = (
  source: Source,
  request: PathwaysRequest,
  signal?: AbortSignal,
): Promise<Proof[]> => source.lens("/api/pathways/proof", request, signal);

/** What the drawn channels of a layer contribute to the target's logit, position by position. */
export const contributions = (
  source: Source,
  request: PathwaysRequest,
  layer: string,
): Promise<Maps> => source.lensMaps("/api/pathways/maps", { ...request, layer });

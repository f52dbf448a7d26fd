// Requests about what a channel looks for.
import { aborting, address, json, once, seen, type Seen } from "../../source/server";
import type { Card, Projected } from "../../api/wire";

export type Kind = "patch" | "projection";

/** A unit of the image that is looked at; without `at` the channel's strongest. */
export interface Asked {
  readonly seen: Seen;
  readonly layer: string;
  readonly channel: number;
  readonly at: readonly [number, number] | null;
}

const query = ({ seen: pass, layer, channel, at }: Asked) => ({
  ...seen({ ...pass, target: null }),
  target: null,
  layer,
  channel,
  at: at?.join(","),
});

export const card = (layer: string, channel: number): Promise<Card> =>
  once(address("/api/card", { layer, channel }));

export const winnerAddress = (layer: string, channel: number, rank: number, kind: Kind): string =>
  address("/api/card/picture", { layer, channel, rank, kind });

export const projected = (asked: Asked, signal?: AbortSignal): Promise<Projected> =>
  json(address("/api/projected", query(asked)), aborting(signal));

export const projectedAddress = (asked: Asked, kind: Kind): string =>
  address("/api/projected/picture", { ...query(asked), kind });

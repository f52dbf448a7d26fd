// What the atlas requests: what a channel looks for, in one image and over a data set.
import type { Schemas } from "../../api/wire";
import { offParameter } from "../../model/query";
import type { PassRequest, Query, Source } from "../../source/source";

export type AtlasChannel = Schemas["Card"];
export type Projected = Schemas["Projected"];
export type Ranked = Schemas["Ranked"];
export type Winner = Schemas["Winner"];

export type PictureKind = "patch" | "projection";

/** A unit of the image that is shown; without `at` the channel's strongest. */
export interface UnitRequest extends Pick<PassRequest, "image" | "off"> {
  readonly layer: string;
  readonly channel: number;
  readonly at: readonly [number, number] | null;
}

const query = ({ image, off, layer, channel, at }: UnitRequest): Query<"/api/projected"> => ({
  image,
  off: offParameter(off),
  layer,
  channel,
  ...(at && { at: at.join(",") }),
});

/** What excites a channel most, over the data set. */
export const channelOf = (source: Source, layer: string, channel: number): Promise<AtlasChannel> =>
  source.lensOnce("/api/card", { layer, channel });

export const winnerPicture = (
  source: Source,
  layer: string,
  channel: number,
  rank: number,
  kind: PictureKind,
): string => source.picture("/api/card/picture", { layer, channel, rank, kind });

/** What a unit sees of the image, and what excited it there. */
export const projected = (
  source: Source,
  request: UnitRequest,
  signal?: AbortSignal,
): Promise<Projected> => source.lens("/api/projected", query(request), signal);

export const projectedPicture = (source: Source, request: UnitRequest, kind: PictureKind): string =>
  source.picture("/api/projected/picture", { ...query(request), kind });

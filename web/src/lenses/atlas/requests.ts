// The requests of the atlas: what activates a channel, in one image and in a data set.
import type { Schemas } from "../../api/wire";
import { offParameter } from "../../model/query";
import type { PassRequest, Query, Source } from "../../source/source";

export type AtlasAnswer = Schemas["AtlasAnswer"];
export type AtlasEntry = Schemas["AtlasEntry"];
export type TopImage = Schemas["TopImage"];
export type UnitProjection = Schemas["UnitProjection"];

export type PictureKind = "patch" | "projection";

/** A unit in the current image; without `at`, the strongest of the channel. */
export interface UnitRequest extends Pick<PassRequest, "image" | "off"> {
  readonly layer: string;
  readonly channel: number;
  readonly at: readonly [number, number] | null;
}

const query = ({ image, off, layer, channel, at }: UnitRequest): Query<"/api/atlas/unit"> => ({
  image,
  off: offParameter(off),
  layer,
  channel,
  ...(at && { at: at.join(",") }),
});

/** What activates a channel most, over the data set. */
export const atlasAnswer = (source: Source, layer: string, channel: number): Promise<AtlasAnswer> =>
  source.lensOnce("/api/atlas", { layer, channel });

export const topImagePicture = (
  source: Source,
  layer: string,
  channel: number,
  rank: number,
  kind: PictureKind,
): string => source.picture("/api/atlas/picture", { layer, channel, rank, kind });

/** The receptive field of a unit, and the projection of its activation to the pixels. */
export const unitProjection = (
  source: Source,
  request: UnitRequest,
  signal?: AbortSignal,
): Promise<UnitProjection> => source.lens("/api/atlas/unit", query(request), signal);

export const unitPicture = (source: Source, request: UnitRequest, kind: PictureKind): string =>
  source.picture("/api/atlas/unit/picture", { ...query(request), kind });

// The requests of the shift view: predictions of the networks for a shifted image.
import type { Schemas } from "../../api/wire";
import { offParameter } from "../../model/query";
import type { PassRequest, Source } from "../../source/source";

export type Border = Schemas["Border"];
export type ShiftMap = Schemas["ShiftMap"];
export type ShiftOverview = Schemas["ShiftOverview"];
export type ShiftPrediction = Schemas["ShiftPrediction"];
export type ShiftPredictions = Schemas["ShiftPredictions"];
export type ShiftRun = Schemas["ShiftRun"];

/** An image shifted `dx` pixels to the right and `dy` down. */
export interface ShiftRequest extends Pick<PassRequest, "image" | "off"> {
  readonly dx: number;
  readonly dy: number;
  readonly border: Border;
}

export const overview = (source: Source): Promise<ShiftOverview> =>
  source.lensOnce("/api/shift", undefined);

export const shiftedPicture = (source: Source, { image, dx, dy, border }: ShiftRequest): string =>
  source.picture("/api/shift/picture", { image, dx, dy, border });

/** The predictions of all networks. Resolves when the shifted picture has loaded, too. */
export async function predictions(
  source: Source,
  request: ShiftRequest,
): Promise<ShiftPredictions> {
  const [found] = await Promise.all([
    source.lens("/api/shift/predictions", { ...request, off: offParameter(request.off) }),
    source.pictureLoaded(shiftedPicture(source, request)), // its errors are those of the predictions
  ]);
  return found;
}

/** What one network predicts for an image at many shifts. */
export const shiftMap = (
  source: Source,
  { image, off }: Pick<PassRequest, "image" | "off">,
  run: number,
  border: Border,
  signal?: AbortSignal,
): Promise<ShiftMap> =>
  source.lens("/api/shift/map", { image, off: offParameter(off), run, border }, signal);

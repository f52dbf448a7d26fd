// What the shift view requests: the answers of the networks to a moved image.
import type { Schemas } from "../../api/wire";
import { offParameter } from "../../model/query";
import type { PassRequest, Source } from "../../source/source";
import type { Shift } from "./shift";

/** The networks that are compared, the borders, and the study of many images. */
export type Networks = Schemas["ShiftOverview"];
export type MovedAnswers = Schemas["ShiftPredictions"];
export type NetworkAnswer = Schemas["ShiftPrediction"];
export type ShiftMap = Schemas["ShiftMap"];
export type StudyRun = Schemas["ShiftRun"];

/** An image moved `dx` pixels to the right and `dy` down. */
export interface MovedRequest extends Pick<PassRequest, "image" | "off"> {
  readonly dx: number;
  readonly dy: number;
  readonly border: Shift["border"];
}

export const networks = (source: Source): Promise<Networks> =>
  source.lensOnce("/api/shift", undefined);

export const movedPicture = (source: Source, { image, dx, dy, border }: MovedRequest): string =>
  source.picture("/api/shift/picture", { image, dx, dy, border });

/** What every network answers, when the picture that it belongs to is there too. */
export async function movedAnswers(source: Source, request: MovedRequest): Promise<MovedAnswers> {
  const [answers] = await Promise.all([
    source.lens("/api/shift/predictions", { ...request, off: offParameter(request.off) }),
    source.pictureLoaded(movedPicture(source, request)), // the answer says what is wrong
  ]);
  return answers;
}

/** What one network answers wherever the image is moved to. */
export const shiftMap = (
  source: Source,
  { image, off }: Pick<PassRequest, "image" | "off">,
  run: number,
  border: Shift["border"],
  signal?: AbortSignal,
): Promise<ShiftMap> =>
  source.lens("/api/shift/map", { image, off: offParameter(off), run, border }, signal);

// The requests of the pathways view: always for the network with all units on.
import type { Schemas } from "../../api/wire";
import type { Maps } from "../../model/maps";
import type { Source } from "../../source/source";

export type Pathways = Schemas["PathwaysResult"];
export type PathwayLayer = Schemas["PathwayLayerResult"];
export type PathwayUnit = Schemas["PathwayUnit"];
export type Proof = Schemas["ProofResult"];

export interface PathwaysRequest {
  readonly image: string;
  readonly target: number | null;
  readonly contrast: number | null;
}

/** The pathways of two classes, and their ablation tests. */
export const pathways = (
  source: Source,
  request: PathwaysRequest,
  signal?: AbortSignal,
): Promise<Pathways> => source.lens("/api/pathways", request, signal);

/** What the drawn channels of a layer contribute to the target's logit, position by position. */
export const contributions = (
  source: Source,
  request: PathwaysRequest,
  layer: string,
): Promise<Maps> => source.lensMaps("/api/pathways/array", { ...request, array: layer });

/** The units of a layer that are drawn, in their order. */
export function drawnUnits(pathways: Pathways, layer: PathwayLayer): PathwayUnit[] {
  return layer.drawn.flatMap((unit) =>
    pathways.units.filter((one) => one.layer === layer.layer && one.unit === unit),
  );
}

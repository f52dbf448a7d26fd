// What the kernel view requests: pictures filtered by a kernel, and sizes on paper.
import type { Schemas } from "../../api/wire";
import type { Source } from "../../source/source";

export type Filtered = Schemas["Filtered"];
export type Filtering = Schemas["Filtering"];
export type OutputSize = Schemas["OutputSize"];
export type Preset = Schemas["Preset"];
export type WorkedCell = Schemas["WorkedCell"];

export const presets = (source: Source): Promise<Preset[]> =>
  source.lensOnce("/api/presets", undefined);

export const filter = (
  source: Source,
  request: Filtering,
  signal?: AbortSignal,
): Promise<Filtered> => source.lensPost("/api/filter", request, signal);

export const outputSize = (
  source: Source,
  axis: {
    readonly size: number;
    readonly kernel: number;
    readonly stride: number;
    readonly padding: number;
    readonly dilation: number;
  },
): Promise<OutputSize> => source.lens("/api/output_size", axis);

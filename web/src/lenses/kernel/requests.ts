// The requests of the kernel view: filtered pictures, and output sizes.
import type { Schemas } from "../../api/wire";
import type { Source } from "../../source/source";

export type KernelRequest = Schemas["KernelRequest"];
export type KernelResult = Schemas["KernelResult"];
export type OutputCell = Schemas["OutputCell"];
export type OutputSize = Schemas["OutputSize"];
export type Preset = Schemas["Preset"];

export const presets = (source: Source): Promise<Preset[]> =>
  source.lensOnce("/api/kernel/presets", undefined);

export const filter = (
  source: Source,
  request: KernelRequest,
  signal?: AbortSignal,
): Promise<KernelResult> => source.lensPost("/api/kernel", request, signal);

export const outputSize = (
  source: Source,
  axis: {
    readonly size: number;
    readonly kernel: number;
    readonly stride: number;
    readonly padding: number;
    readonly dilation: number;
  },
): Promise<OutputSize> => source.lens("/api/kernel/output-size", axis);

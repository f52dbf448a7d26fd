// The maps of a layer: their sizes, and the maps that they are computed from. Pure functions.
import type { Layer } from "../api/wire";
import type { At } from "./spot";
import type { Box, Geometry } from "./window";

/** Maps as one array: `count` of them, each `height` x `width`, row by row. */
export interface Maps {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly values: Float32Array;
}

/** One of several maps. */
export function mapOf(maps: Maps, index: number): Float32Array {
  const size = maps.height * maps.width;
  return maps.values.subarray(index * size, (index + 1) * size);
}

type Kinded = Pick<Layer, "kind" | "family">;
type Shaped = Pick<Layer, "name" | "kind" | "family" | "inputs" | "shape">;

/** Rows and columns of one of a layer's maps, as the server sends them; of a vector 1 x 1. */
export function mapSides(shape: readonly number[]): readonly [rows: number, columns: number] {
  if (shape.length < 2) return [1, 1];
  const rows = shape.slice(1, -1).reduce((product, side) => product * side, 1);
  return [rows, shape.at(-1) ?? 1];
}

/** The units in the order of the page: by mean, or by index. */
export function ordered(count: number, means: readonly (number | null)[] | null): number[] {
  const units = Array.from({ length: count }, (_, unit) => unit);
  const mean = (unit: number): number => means?.[unit] ?? -Infinity;
  return means ? units.sort((a, b) => mean(b) - mean(a) || a - b) : units;
}

const ELEMENTWISE = new Set("batch_norm local_response_norm identity dropout".split(" "));

/** Whether each value depends only on the values at the same position of the input. */
export const elementwise = ({ kind, family }: Kinded): boolean =>
  family === "activation" || ELEMENTWISE.has(kind);

/** Whether a window moves over the layer's input. */
export const windowed = ({ kind, family }: Kinded): boolean =>
  family === "pool" || kind === "convolution";

/** The elementwise layers directly after a layer, such as batch norm and ReLU. */
export function chain<L extends Shaped>(layers: readonly L[], name: string): L[] {
  const found: L[] = [];
  let last = name;
  for (;;) {
    const next = layers.find(
      (layer) => elementwise(layer) && layer.inputs.length === 1 && layer.inputs[0] === last,
    );
    if (!next) return found;
    found.push(next);
    last = next.name;
  }
}

export interface Origin {
  readonly layer: string;
  readonly channel: number;
}

/**
 * The maps that a channel's map is computed from. Null if they do not follow from the shapes, as for
 * a reshape, and for a convolution, which uses all input channels.
 */
export function origins(
  layers: readonly Shaped[],
  layer: Shaped,
  settings: Readonly<Record<string, unknown>>,
  unit: number,
): readonly Origin[] | null {
  const inputs = layer.inputs.flatMap((name) => layers.find((one) => one.name === name) ?? []);
  if (layer.kind === "concatenate" && stacked(layer, settings)) {
    let before = 0;
    for (const input of inputs) {
      const many = input.shape[0] ?? 1;
      if (unit < before + many) return [{ layer: input.name, channel: unit - before }];
      before += many;
    }
    return null;
  }
  const alike = elementwise(layer) || ["pool", "arithmetic"].includes(layer.family);
  if (!alike) return null;
  return inputs.map((input) => ({
    layer: input.name,
    channel: input.shape[0] === layer.shape[0] ? unit : 0, // one channel, broadcast to all
  }));
}

/** Whether channels are put one after another, and not rows or columns. */
function stacked(layer: Shaped, settings: Readonly<Record<string, unknown>>): boolean {
  const dim = settings["dim"] ?? 1;
  return typeof dim === "number" && (dim === 1 || dim === -layer.shape.length);
}

/** The input channels of a filter: the first one, and their number. */
export function firstInput(
  layer: Shaped,
  input: Shaped,
  settings: Readonly<Record<string, unknown>>,
  unit: number,
): { readonly first: number; readonly count: number } {
  const groups = typeof settings["groups"] === "number" ? settings["groups"] : 1;
  const count = (input.shape[0] ?? 1) / groups;
  const group = Math.floor(unit / ((layer.shape[0] ?? 1) / groups));
  return { first: group * count, count };
}

/** The window of the value at `at` on its input map; it may lie partly outside the map. */
export function windowAt(
  window: Geometry | null,
  input: readonly number[],
  output: readonly number[],
  at: At,
): Box {
  const along = (axis: 0 | 1): readonly [start: number, length: number] => {
    if (window) {
      return [
        at[axis] * window.stride[axis] - window.padding[axis],
        window.dilation[axis] * (window.kernel[axis] - 1) + 1,
      ];
    }
    const [many, from] = [output[axis + 1] ?? 1, input[axis + 1] ?? 1];
    const start = Math.floor((at[axis] * from) / many); // an adaptive pool
    return [start, Math.ceil(((at[axis] + 1) * from) / many) - start];
  };
  const [[row, height], [column, width]] = [along(0), along(1)];
  return { row, column, height, width };
}

// The window of a convolution or pool: its position on the input, and its terms as a grid. Pure functions.
import type { TermSource } from "../api/wire";
import { ordinal, type At } from "./spot";

type Pair = readonly [vertical: number, horizontal: number];

/** The settings of a convolution or pool, as in torch; an adaptive pool has none. */
export interface Geometry {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
}

/** The geometry among a layer's settings; null where it has none. */
export function geometry(settings: Readonly<Record<string, unknown>>): Geometry | null {
  const kernel = pair(settings["kernel_size"]);
  if (!kernel) return null;
  return {
    kernel,
    stride: pair(settings["stride"]) ?? kernel, // the default of torch
    padding: pair(settings["padding"]) ?? [0, 0],
    dilation: pair(settings["dilation"]) ?? [1, 1],
  };
}

function pair(setting: unknown): Pair | null {
  if (typeof setting === "number") return [setting, setting];
  if (!Array.isArray(setting)) return null;
  const [first, last]: unknown[] = [setting[0], setting.at(-1)];
  return typeof first === "number" && typeof last === "number" ? [first, last] : null;
}

/**
 * The position of the output whose window has its centre nearest to a point of the input.
 * Without geometry, as in an adaptive pool, the input is divided evenly.
 */
export function outputAt(
  window: Geometry | null,
  input: readonly number[],
  output: readonly number[],
  point: readonly [number, number],
): At {
  const along = (axis: 0 | 1): number => {
    const many = output[axis + 1] ?? 1;
    const place = window
      ? (point[axis] - 0.5 + window.padding[axis] - reach(window, axis) / 2) / window.stride[axis]
      : Math.floor((point[axis] * many) / (input[axis + 1] ?? 1));
    return Math.max(0, Math.min(many - 1, Math.round(place)));
  };
  return [along(0), along(1)];
}

/** From the first to the last row (or column) of the window. */
const reach = (window: Geometry, axis: 0 | 1): number =>
  window.dilation[axis] * (window.kernel[axis] - 1);

/** A box of a map, in its rows and columns; it may lie partly outside. */
export interface Box {
  readonly row: number;
  readonly column: number;
  readonly height: number;
  readonly width: number;
}

/** A box of one pixel of a map. */
export const pixel = ([row, column]: At): Box => ({ row, column, height: 1, width: 1 });

/** "row 3, columns 4 to 6". */
export function boxWords({ row, column, height, width }: Box): string {
  const along = (name: string, first: number, many: number): string =>
    many === 1
      ? `${name} ${ordinal(first)}`
      : `${name}s ${ordinal(first)} to ${ordinal(first + many - 1)}`;
  return `${along("row", row, height)}, ${along("column", column, width)}`;
}

/** One term, as a row of its source's columns. */
export interface Term {
  readonly node: string;
  readonly index: readonly number[];
  readonly weight: number | null;
  readonly value: number | null;
  readonly product: number | null;
  readonly padding: boolean;
}

export function term(source: TermSource, place: number): Term {
  return {
    node: source.node,
    index: source.index[place] ?? [],
    weight: source.weight[place] ?? null,
    value: source.value[place] ?? null,
    product: source.product[place] ?? null,
    padding: source.padding[place] ?? false,
  };
}

export function terms(source: TermSource, from = 0, to = source.value.length): Term[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => term(source, from + i));
}

/** A convolution's terms of its input channel `number`, counted from 0 within the group. */
export function channelTerms(
  source: TermSource,
  window: readonly number[],
  number: number,
): Term[] {
  const size = (window[1] ?? 1) * (window[2] ?? 1);
  return terms(source, number * size, (number + 1) * size);
}

/** Terms of one channel row by row, as they lie on the map. */
export function grid(found: readonly Term[]): Term[][] {
  const rows = new Map<number, Term[]>();
  for (const one of found) {
    const row = one.index[1] ?? 0;
    const cells = rows.get(row);
    if (cells) cells.push(one);
    else rows.set(row, [one]);
  }
  return [...rows.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, cells]) => cells.sort((a, b) => (a.index[2] ?? 0) - (b.index[2] ?? 0)));
}

/** The bounding box of the positions of terms; null if there are none. */
export function around(found: readonly Term[]): Box | null {
  if (!found.length) return null;
  let [top, left, bottom, right] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { index } of found) {
    const [, row = 0, column = 0] = index;
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    left = Math.min(left, column);
    right = Math.max(right, column);
  }
  return { row: top, column: left, height: bottom - top + 1, width: right - left + 1 };
}

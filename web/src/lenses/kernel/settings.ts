// The settings of the kernel view, as a value and as text in the address. Pure functions.

export const BORDERS = ["zero", "edge", "reflect", "wrap"] as const;
export type Border = (typeof BORDERS)[number];

/** One axis of the size calculator: n, k, s, p, d. */
export interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

/**
 * `photo` false is the 6 x 6 example. `kernel` has nine numbers, row by row. `at` is the position of
 * the computed value in the output, (row, column).
 */
export interface KernelSettings {
  readonly photo: boolean;
  readonly kernel: readonly number[];
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly border: Border;
  readonly at: readonly [number, number];
  readonly axis: Axis;
}

export const SOBEL: readonly number[] = [1, 0, -1, 2, 0, -2, 1, 0, -1];

export const DEFAULTS: KernelSettings = {
  photo: true,
  kernel: SOBEL,
  stride: 1,
  padding: 0,
  dilation: 1,
  border: "zero",
  at: [0, 0],
  axis: { size: 227, kernel: 11, stride: 4, padding: 0, dilation: 1 },
};

/** "1_0_-1_2_0_-2_1_0_-1*s2*bedge": what differs from `DEFAULTS`; null if nothing does. */
export function encode(value: KernelSettings): string | null {
  const parts: string[] = [];
  const write = (differs: boolean, text: string): void => {
    if (differs) parts.push(text);
  };
  write(!equal(value.kernel, DEFAULTS.kernel), `k${value.kernel.map(entryText).join("_")}`);
  write(!value.photo, "x");
  write(value.stride !== DEFAULTS.stride, `s${value.stride}`);
  write(value.padding !== DEFAULTS.padding, `p${value.padding}`);
  write(value.dilation !== DEFAULTS.dilation, `d${value.dilation}`);
  write(value.border !== DEFAULTS.border, `b${value.border}`);
  write(!equal(value.at, DEFAULTS.at), `a${value.at.join("_")}`);
  const axis = numbersOf(value.axis);
  write(!equal(axis, numbersOf(DEFAULTS.axis)), `n${axis.join("_")}`);
  return parts.length ? parts.join("*") : null;
}

/** The settings of a text; missing or wrong parts are as in `DEFAULTS`. */
export function decode(text: string | null): KernelSettings {
  const given = new Map((text ?? "").split("*").map((part) => [part.slice(0, 1), part.slice(1)]));
  const kernel = entries(given.get("k"), 9);
  const at = counts(given.get("a"), 2);
  const axis = counts(given.get("n"), 5);
  const [size, side, stride, padding, dilation] = axis ?? [];
  return {
    photo: given.get("x") !== "",
    kernel: kernel ?? DEFAULTS.kernel,
    stride: counts(given.get("s"), 1)?.[0] ?? DEFAULTS.stride,
    padding: counts(given.get("p"), 1)?.[0] ?? DEFAULTS.padding,
    dilation: counts(given.get("d"), 1)?.[0] ?? DEFAULTS.dilation,
    border: BORDERS.find((border) => border === given.get("b")) ?? DEFAULTS.border,
    at: at ? [at[0] ?? 0, at[1] ?? 0] : DEFAULTS.at,
    axis:
      size === undefined
        ? DEFAULTS.axis
        : {
            size,
            kernel: side ?? DEFAULTS.axis.kernel,
            stride: stride ?? DEFAULTS.axis.stride,
            padding: padding ?? DEFAULTS.axis.padding,
            dilation: dilation ?? DEFAULTS.axis.dilation,
          },
  };
}

export const MOST = 9999;

/** A whole number from 0 to `MOST` from its text; null if the text is not one. */
export const parseCount = (text: string): number | null =>
  /^\s*\d{1,4}\s*$/.test(text) ? Number(text) : null;

/** A weight of a kernel from its text: up to six digits before and after the point; null if it is not one. */
export function parseEntry(text: string): number | null {
  const trimmed = text.trim().replace(",", ".").replace("−", "-");
  return /^[-+]?(\d{1,6}(\.\d{0,6})?|\.\d{1,6})$/.test(trimmed) ? Number(trimmed) + 0 : null;
}

export const entryText = (value: number): string => String(Number(value.toFixed(6)) + 0);

/** A square kernel as rows. */
export function rowsOf(kernel: readonly number[]): number[][] {
  const side = Math.round(Math.sqrt(kernel.length));
  return Array.from({ length: side }, (_, row) => kernel.slice(row * side, (row + 1) * side));
}

/** The name of the preset with these weights; null if there is none. */
export const nameOf = (
  kernel: readonly number[],
  presets: readonly { name: string; kernel: number[][] }[],
): string | null => presets.find((one) => equal(one.kernel.flat(), kernel))?.name ?? null;

/** The output position whose window has its centre nearest to a pixel of the input. */
export function outputAround(
  pixel: readonly [number, number],
  value: Pick<KernelSettings, "stride" | "padding" | "dilation">,
  sides: readonly [number, number],
): [number, number] {
  const near = (at: number, side: number): number =>
    clamped(Math.round((at + value.padding - value.dilation) / Math.max(1, value.stride)), side);
  return [near(pixel[0], sides[0]), near(pixel[1], sides[1])];
}

export const clamped = (position: number, side: number): number =>
  Math.min(Math.max(position, 0), Math.max(0, side - 1));

/** The start of a window of `length` cells around a position, within `total` cells. */
export const windowStart = (around: number, length: number, total: number): number =>
  Math.min(Math.max(around - Math.floor(length / 2), 0), Math.max(0, total - length));

/** The settings that an error message names. */
export function settingsNamedIn(reason: string): ReadonlySet<string> {
  const words = ["kernel", "stride", "padding", "dilation", "border"];
  return new Set(words.filter((word) => new RegExp(`\\b${word}\\b`).test(reason)));
}

const numbersOf = (axis: Axis): number[] => [
  axis.size,
  axis.kernel,
  axis.stride,
  axis.padding,
  axis.dilation,
];

const equal = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((value, i) => value === other[i]);

function listed<T>(text: string | undefined, count: number, one: (text: string) => T | null) {
  const found = text?.split("_").map(one) ?? [];
  return found.length === count && found.every((value) => value !== null) ? (found as T[]) : null;
}

const counts = (text: string | undefined, count: number): number[] | null =>
  listed(text, count, parseCount);

const entries = (text: string | undefined, count: number): number[] | null =>
  listed(text, count, parseEntry);

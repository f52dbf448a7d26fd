// Colours of values: zero is white or black, NaN and infinity are magenta. Pure functions.
import { interpolateMagma, interpolateRdBu } from "d3-scale-chromatic";

/** The ends of a legend. With a negative `low`, colours diverge from zero. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export const MISSING: readonly [number, number, number] = [255, 0, 255];
const LEVELS = 257; // odd: zero has a level of its own

const tables = {
  sequential: table(interpolateMagma),
  // Red is positive, blue negative, as on the command line's sheets.
  diverging: table((share) => interpolateRdBu(1 - share)),
};

export const signed = (range: Range): boolean => range.low < 0;

export const limit = (range: Range): number => Math.max(Math.abs(range.low), Math.abs(range.high));

/** The range of all finite values, zero included. */
export function rangeOf(values: ArrayLike<number>): Range {
  let low = 0;
  let high = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** The range of limits from the server, zero included; null is ignored. */
export const ends = (low: number | null | undefined, high: number | null | undefined): Range => ({
  low: Math.min(0, low ?? 0),
  high: Math.max(0, high ?? 0),
});

/** Paints values as RGBA into `target`, four bytes each. */
export function paint(values: ArrayLike<number>, range: Range, target: Uint8ClampedArray): void {
  const colours = signed(range) ? tables.diverging : tables.sequential;
  const full = limit(range) || 1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const place = i * 4;
    target[place + 3] = 255;
    if (!Number.isFinite(value)) {
      target.set(MISSING, place);
      continue;
    }
    const level = levelOf(value, full, signed(range)) * 3;
    target[place] = colours[level]!;
    target[place + 1] = colours[level + 1]!;
    target[place + 2] = colours[level + 2]!;
  }
}

/** The colour of one value as CSS. */
export function colour(value: number | null, range: Range): string {
  const [red, green, blue] = channels(value, range);
  return `rgb(${red} ${green} ${blue})`;
}

/** Black or white, whichever has more contrast on the colour of a value. */
export function inkOn(value: number | null, range: Range): string {
  const linear = channels(value, range).map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

function channels(value: number | null, range: Range): readonly number[] {
  if (value === null || !Number.isFinite(value)) return MISSING;
  const colours = signed(range) ? tables.diverging : tables.sequential;
  const level = levelOf(value, limit(range) || 1, signed(range)) * 3;
  return [colours[level]!, colours[level + 1]!, colours[level + 2]!];
}

function levelOf(value: number, full: number, diverging: boolean): number {
  const share = diverging ? (value / full + 1) / 2 : value / full;
  return Math.round(Math.min(1, Math.max(0, share)) * (LEVELS - 1));
}

function table(colourOf: (share: number) => string): Uint8Array {
  const bytes = new Uint8Array(LEVELS * 3);
  for (let level = 0; level < LEVELS; level++) {
    const text = colourOf(level / (LEVELS - 1));
    const hex = /^#(..)(..)(..)$/.exec(text);
    const parts = hex
      ? hex.slice(1).map((part) => parseInt(part, 16))
      : text.match(/\d+/g)!.map(Number);
    bytes.set(parts.slice(0, 3), level * 3);
  }
  return bytes;
}

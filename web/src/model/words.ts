// Layers in words. Pure functions.
import type { Field, Layer } from "../api/wire";
import { shape } from "./numbers";

/** "max pool", "batch norm"; an operation without a formula has torch's name. */
export const kind = (layer: Pick<Layer, "kind" | "operation">): string =>
  (layer.kind === "other" ? layer.operation : layer.kind).replaceAll("_", " ");

/** "64 maps of 112 × 112", "4,096 units", "one number". */
export function output(sides: readonly number[]): string {
  const [first, ...rest] = sides;
  if (first === undefined) return "one number";
  const many = first.toLocaleString("en");
  if (!rest.length) return `${many} ${first === 1 ? "unit" : "units"}`;
  return `${many} ${first === 1 ? "map" : "maps"} of ${shape(rest)}`;
}

/** "44/8/18": size, stride and padding; both axes where they differ. */
export function field(found: Field | null): string {
  if (!found) return "";
  const one = (pair: readonly [number, number]): string =>
    pair[0] === pair[1] ? String(pair[0]) : pair.join("×");
  const parts = [one(found.size), one(found.stride), one(found.padding)].join("/");
  return found.exact ? parts : `≤ ${parts}`;
}

const SETTINGS = [
  ["kernel_size", "kernel", true],
  ["stride", "stride", true],
  ["padding", "padding", true],
  ["dilation", "dilation", true],
  ["groups", "groups", false],
] as const;

/** A setting of a window; `term` is its name in the glossary, null where it has none. */
export interface Setting {
  readonly name: string;
  readonly term: string | null;
  readonly value: string;
}

/** Kernel 3 × 3, stride 2, padding 1: torch's settings of a window; empty without any. */
export function setup(settings: Readonly<Record<string, unknown>>): readonly Setting[] {
  return SETTINGS.flatMap(([key, name, defined]) => {
    const given = [settings[key]].flat();
    const sides = given.filter((side) => typeof side === "number");
    if (!sides.length || sides.length < given.length) return [];
    const usual = key === "dilation" || key === "groups" ? 1 : null;
    if (sides.every((side) => side === usual)) return [];
    const whole = key === "kernel_size" ? [sides[0] ?? 1, sides.at(-1) ?? 1] : sides;
    const one = key !== "kernel_size" && new Set(sides).size === 1;
    const value = one ? String(sides[0]) : shape(whole);
    return [{ name, term: defined ? name : null, value }];
  });
}

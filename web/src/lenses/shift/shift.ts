// The shift of the image, as a value and as text in the address. Pure functions.

export const BORDERS = ["zero", "edge", "reflect", "wrap"] as const;

export interface Shift {
  readonly dx: number;
  readonly dy: number;
  readonly border: (typeof BORDERS)[number];
}

/** "3,-2,edge"; text that is not understood means no shift, and a border of zeros. */
export function parseShift(text: string | null): Shift {
  const [, dx, dy, border] = /^(-?\d{1,5}),(-?\d{1,5}),(\w+)$/.exec(text ?? "") ?? [];
  return {
    dx: Number(dx ?? 0) + 0, // no minus zero
    dy: Number(dy ?? 0) + 0,
    // "circular" is what earlier versions wrote.
    border: border === "circular" ? "wrap" : (BORDERS.find((one) => one === border) ?? "zero"),
  };
}

export const formatShift = ({ dx, dy, border }: Shift): string => `${dx},${dy},${border}`;

/** The shift, but no further than `largest` pixels in either direction. */
export const within = ({ dx, dy, border }: Shift, largest: number): Shift => ({
  dx: clamped(dx, largest),
  dy: clamped(dy, largest),
  border,
});

export const clamped = (value: number, largest: number): number =>
  Math.max(-largest, Math.min(largest, Math.round(value))) + 0; // no minus zero

/** The shift after an arrow key (one pixel, with Shift four) or Home (no shift). */
export function keyed(shift: Shift, key: string, far: boolean, largest: number): Shift | null {
  const step = far ? 4 : 1;
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
    key
  ] ?? [0, 0];
  if (key === "Home") return { ...shift, dx: 0, dy: 0 };
  if (!x && !y) return null;
  const to = (value: number, direction: number): number =>
    clamped(value + direction * step, largest);
  return { ...shift, dx: to(shift.dx, x ?? 0), dy: to(shift.dy, y ?? 0) };
}

/** "3 right, 2 up"; "not shifted". */
export function shiftWords({ dx, dy }: Pick<Shift, "dx" | "dy">): string {
  const parts = [
    dx ? `${Math.abs(dx)} ${dx > 0 ? "right" : "left"}` : "",
    dy ? `${Math.abs(dy)} ${dy > 0 ? "down" : "up"}` : "",
  ].filter(Boolean);
  return parts.join(", ") || "not shifted";
}

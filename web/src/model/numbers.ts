// How numbers are written on the page. Pure.

/** Written for a number that has not arrived yet. */
const COMING = "…";

/** At most six significant digits, as the command line writes them; null is "no number". */
export function text(value: number | null | undefined, digits = 6): string {
  if (value === undefined) return COMING;
  if (value === null || Number.isNaN(value)) return "no number";
  if (value === 0) return "0"; // minus zero too
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return minus(value.toLocaleString("en"));
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) {
    return minus(value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e"));
  }
  return minus(String(rounded));
}

/** For cells of a grid: three significant digits. */
export const short = (value: number | null | undefined): string => text(value, 3);

/** A share as a percentage, 97.3 %. Only 0 and 1 are written as 0 % and 100 %. */
export function percent(share: number | null | undefined): string {
  if (share === undefined) return COMING;
  if (share === null) return "no number";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share > 0.9995) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export const shape = (sides: readonly number[]): string => sides.join(" × ");

/** A true minus sign, which is as wide as a plus. */
function minus(written: string): string {
  return written.replace(/-/g, "−");
}

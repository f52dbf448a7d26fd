// Many values as bars around zero, in one SVG path. Pure functions.

const COLUMNS = 400; // more are too narrow to distinguish

/** The columns of a strip: each from the smallest to the largest of its numbers, zero included. */
export function columns(values: ArrayLike<number>): { low: number; high: number }[] {
  const many = Math.min(values.length, COLUMNS);
  return Array.from({ length: many }, (_, column) => {
    let [low, high] = [0, 0];
    const end = Math.floor(((column + 1) * values.length) / many);
    for (let i = Math.floor((column * values.length) / many); i < end; i++) {
      const value = values[i] ?? NaN;
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return { low, high };
  });
}

/** The columns as an SVG path, `width` x `height`, and where zero is. */
export function barsPath(
  values: ArrayLike<number>,
  width: number,
  height: number,
): { path: string; zero: number } {
  const bars = columns(values);
  const low = Math.min(0, ...bars.map((bar) => bar.low));
  const high = Math.max(0, ...bars.map((bar) => bar.high));
  const scale = height / (high - low || 1);
  const zero = high - low ? high * scale : height;
  const step = width / (bars.length || 1);
  const gap = step > 3 ? 1 : 0;
  const digits = (number: number): string => number.toFixed(2);
  const path = bars
    .map(({ low, high }, column) => {
      const top = zero - high * scale;
      const tall = (high - low) * scale;
      if (!tall) return "";
      const [x, wide] = [digits(column * step), digits(step - gap)];
      return `M${x} ${digits(top)}h${wide}v${digits(tall)}h-${wide}z`;
    })
    .join("");
  return { path, zero };
}

// The position of a value in the output of a layer, and the moves between positions. Pure functions.

export type At = readonly [row: number, column: number];

/** The pixel of a map that contains a point. */
export const pixelOf = ([y, x]: readonly [number, number]): At => [Math.floor(y), Math.floor(x)];

/** The position of a value: its channel (in a vector: its unit), and its row and column in the map. */
export interface Spot {
  readonly unit: number;
  readonly at: At;
}

/** The index of a value in the output of a layer, as the server expects it. */
export function indexOf(shape: readonly number[], { unit, at }: Spot): number[] {
  return [unit, ...at, ...shape.slice(3).map(() => 0)].slice(0, shape.length);
}

/** The position of an index; missing dimensions are 0. */
export const spotOf = (index: readonly number[]): Spot => ({
  unit: index[0] ?? 0,
  at: [index[1] ?? 0, index[2] ?? 0],
});

/** A row or column as text; outside the map it can be negative, with a true minus sign. */
export const ordinal = (place: number): string => String(place).replace("-", "−");

/** "channel 3, row 2, column 4"; "unit 7" of a vector; "" of a single number. */
export function words(index: readonly number[]): string {
  const [unit, row, column] = index.map(ordinal);
  if (unit === undefined) return "";
  if (row === undefined) return `unit ${unit}`;
  if (column === undefined) return `row ${unit}, column ${row}`;
  return `channel ${unit}, row ${row}, column ${column}`;
}

/** Why a position does not exist, and the nearest one that does. */
export interface Missing {
  readonly problem: string;
  readonly nearest: Spot;
}

/** Null if the layer has a value at the position. */
export function missing(name: string, shape: readonly number[], spot: Spot): Missing | null {
  const given = indexOf(shape, spot).slice(0, 3);
  const names = shape.length < 3 ? ["unit", "column"] : ["channel", "row", "column"];
  const place = given.findIndex((number, axis) => number >= (shape[axis] ?? 1));
  if (place < 0) return null;
  const many = shape[place] ?? 1;
  const [unit = 0, row = 0, column = 0] = given.map((number, axis) =>
    Math.min(number, (shape[axis] ?? 1) - 1),
  );
  const what = names[place] ?? "position";
  return {
    problem:
      `There is no ${what} ${given[place]} in ${name}: ` +
      (many === 1 ? `it has only ${what} 0.` : `its ${what}s are 0 to ${many - 1}.`),
    nearest: { unit, at: [row, column] },
  };
}

/** The position after an arrow key, Home or End; null for other keys. In vectors, keys move by units. */
export function moved(shape: readonly number[], { unit, at }: Spot, key: string): Spot | null {
  const [units = 1, rows = 1, columns = 1] = shape;
  const flat = shape.length < 3;
  const inside = (number: number, many: number): number => Math.max(0, Math.min(many - 1, number));
  if (flat) {
    const step = {
      ArrowLeft: unit - 1,
      ArrowUp: unit - 1,
      ArrowRight: unit + 1,
      ArrowDown: unit + 1,
      Home: 0,
      End: units - 1,
    }[key];
    return step === undefined ? null : { unit: inside(step, units), at };
  }
  const [row, column] = at;
  const places: Record<string, At> = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, columns - 1],
  };
  const place = places[key];
  return place ? { unit, at: [inside(place[0], rows), inside(place[1], columns)] } : null;
}

/** The next position of a map, row by row; after the last one comes the first. */
export function next(shape: readonly number[], [row, column]: At): At {
  const [, rows = 1, columns = 1] = shape;
  if (column + 1 < columns) return [row, column + 1];
  return [row + 1 < rows ? row + 1 : 0, 0];
}

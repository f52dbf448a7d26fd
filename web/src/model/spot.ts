// Which number of a layer a place names, and the steps from one to the next. Pure.

export type At = readonly [row: number, column: number];

/** The pixel that a point of a map lies in. */
export const pixelOf = ([y, x]: readonly [number, number]): At => [Math.floor(y), Math.floor(x)];

/** A number of a layer: its channel (of a vector: its unit) and its row and column in the map. */
export interface Spot {
  readonly unit: number;
  readonly at: At;
}

/** The index of a spot in a layer's output, as the server wants it. */
export function indexOf(shape: readonly number[], { unit, at }: Spot): number[] {
  return [unit, ...at, ...shape.slice(3).map(() => 0)].slice(0, shape.length);
}

/** The spot of an index; what the index lacks is 0. */
export const spotOf = (index: readonly number[]): Spot => ({
  unit: index[0] ?? 0,
  at: [index[1] ?? 0, index[2] ?? 0],
});

/** A place as text; outside of the map it is negative, with a true minus sign. */
export const ordinal = (place: number): string => String(place).replace("-", "−");

/** "channel 3, row 2, column 4"; "unit 7" of a vector; "" of a single number. */
export function words(index: readonly number[]): string {
  const [unit, row, column] = index.map(ordinal);
  if (unit === undefined) return "";
  if (row === undefined) return `unit ${unit}`;
  if (column === undefined) return `row ${unit}, column ${row}`;
  return `channel ${unit}, row ${row}, column ${column}`;
}

/** What is wrong with a spot, and the nearest one that exists. */
export interface Missing {
  readonly problem: string;
  readonly nearest: Spot;
}

/** Null where the layer has such a number. */
export function missing(name: string, shape: readonly number[], spot: Spot): Missing | null {
  const given = indexOf(shape, spot).slice(0, 3);
  const names = shape.length < 3 ? ["unit", "column"] : ["channel", "row", "column"];
  const place = given.findIndex((number, axis) => number >= (shape[axis] ?? 1));
  if (place < 0) return null;
  const many = shape[place] ?? 1;
  const [unit = 0, row = 0, column = 0] = given.map((number, axis) =>
    Math.min(number, (shape[axis] ?? 1) - 1),
  );
  const what = names[place] ?? "place";
  return {
    problem:
      `There is no ${what} ${given[place]} in ${name}: ` +
      (many === 1 ? `it has only ${what} 0.` : `its ${what}s are 0 to ${many - 1}.`),
    nearest: { unit, at: [row, column] },
  };
}

/** Where an arrow key, Home or End leads; null for another key. Vectors go by units. */
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

/** The next place of a map, row by row, and after the last one the first. */
export function next(shape: readonly number[], [row, column]: At): At {
  const [, rows = 1, columns = 1] = shape;
  if (column + 1 < columns) return [row, column + 1];
  return [row + 1 < rows ? row + 1 : 0, 0];
}

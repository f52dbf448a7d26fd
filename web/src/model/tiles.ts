// Tiles in rows: their positions, and which of them are visible. Pure functions.

/** `count` tiles of `width` x `height` CSS pixels, gap included, in rows of `columns`. */
export interface Tiling {
  readonly count: number;
  readonly columns: number;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
}

/** Positions from `first` to `end`, exclusive. */
export interface Span {
  readonly first: number;
  readonly end: number;
}

export function tiling(count: number, room: number, width: number, height: number): Tiling {
  const columns = Math.max(1, Math.min(count, Math.floor(room / width)));
  return { count, columns, rows: Math.ceil(count / columns), width, height };
}

export const corner = (tiles: Tiling, position: number): readonly [x: number, y: number] => [
  (position % tiles.columns) * tiles.width,
  Math.floor(position / tiles.columns) * tiles.height,
];

/** The tiles in a window of `room` pixels that is scrolled by `top`, and `spare` rows around it. */
export function inView(tiles: Tiling, top: number, room: number, spare = 1): Span {
  const first = Math.max(0, Math.floor(top / tiles.height) - spare);
  const end = Math.min(tiles.rows, Math.ceil((top + room) / tiles.height) + spare);
  return {
    first: Math.min(tiles.count, first * tiles.columns),
    end: Math.min(tiles.count, Math.max(first, end) * tiles.columns),
  };
}

/** The batches of `size` positions that a span touches. */
export function batches(span: Span, size: number): number[] {
  if (span.end <= span.first) return [];
  const first = Math.floor(span.first / size);
  const last = Math.floor((span.end - 1) / size);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** The scroll position that makes a tile fully visible; `top` if it is already. */
export function scrolled(tiles: Tiling, position: number, top: number, room: number): number {
  const [, y] = corner(tiles, position);
  if (y < top) return y;
  if (y + tiles.height > top + room) return Math.max(0, y + tiles.height - room);
  return top;
}

/** The tile after a key; null for keys that do not move. */
export function stepped(tiles: Tiling, position: number, key: string, room: number): number | null {
  const page = Math.max(1, Math.floor(room / tiles.height)) * tiles.columns;
  const step = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -tiles.columns,
    ArrowDown: tiles.columns,
    PageUp: -page,
    PageDown: page,
    Home: -tiles.count,
    End: tiles.count,
  }[key];
  if (step === undefined) return null;
  const next = position + step;
  // Up and down stay in the column, except that down from the last full row goes to the last tile.
  if (key === "ArrowUp" && next < 0) return position;
  if (key === "ArrowDown" && next >= tiles.count) {
    const under = Math.floor(position / tiles.columns) < tiles.rows - 1;
    return under ? tiles.count - 1 : position;
  }
  return Math.max(0, Math.min(tiles.count - 1, next));
}

/** The size in CSS pixels of a map with `values` on its longer side: a whole multiple if it is small. */
export function side(values: number, wanted: number): number {
  if (values > wanted * 1.4) return wanted;
  return values * Math.max(1, Math.round(wanted / values));
}

// Many tiles in rows, of which only those in view exist: where they lie, which are seen. Pure.

/** `count` tiles of `width` x `height` CSS pixels, gap included, in rows of `columns`. */
export interface Tiling {
  readonly count: number;
  readonly columns: number;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
}

/** Positions from `first` up to, without, `end`. */
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

/** How far to scroll so that a tile is seen whole; `top` where it is already. */
export function scrolled(tiles: Tiling, position: number, top: number, room: number): number {
  const [, y] = corner(tiles, position);
  if (y < top) return y;
  if (y + tiles.height > top + room) return Math.max(0, y + tiles.height - room);
  return top;
}

/** Where a key leads from a tile; null for a key that does not move. */
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
  // Up and down stay in their column; from the last full row one still gets to the end.
  if (key === "ArrowUp" && next < 0) return position;
  if (key === "ArrowDown" && next >= tiles.count) {
    const under = Math.floor(position / tiles.columns) < tiles.rows - 1;
    return under ? tiles.count - 1 : position;
  }
  return Math.max(0, Math.min(tiles.count - 1, next));
}

/** The side on the page of a map whose longer side has so many values: a whole multiple if small. */
export function side(values: number, wanted: number): number {
  if (values > wanted * 1.4) return wanted;
  return values * Math.max(1, Math.round(wanted / values));
}

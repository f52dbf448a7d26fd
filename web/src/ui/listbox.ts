// The keyboard of a grid of tiles: keys move the selection and open a tile.
import { stepped, type Tiling } from "../model/tiles";

export interface List {
  readonly active: number;
  readonly move: (position: number) => void;
  readonly open: (position: number, event: MouseEvent | KeyboardEvent) => void;
  readonly handleKey?: (event: KeyboardEvent) => void;
}

/** `tall` is the visible height of the grid, in CSS pixels. */
export function handleKey(event: KeyboardEvent, list: List, tiles: Tiling, tall: number): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const next = stepped(tiles, list.active, event.key, tall);
  if (next !== null) {
    event.preventDefault();
    if (next !== list.active) list.move(next);
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    list.open(list.active, event);
  } else list.handleKey?.(event);
}

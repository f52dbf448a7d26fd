// What all maps of the channel view share: the position under the pointer or the cursor.
import type { Layer, LayerDetail } from "../../api/wire";
import { mapSides } from "../../model/maps";
import { text } from "../../model/numbers";
import { moved, pixelOf, type At } from "../../model/spot";
import { geometry, outputAt, type Geometry } from "../../model/window";
import type { Explorer } from "../../state/explorer.svelte";

export class Scene {
  hovered = $state.raw<At | null>(null);
  readonly cursor: At;
  readonly at: At;
  readonly window: Geometry | null;
  readonly rows: number;
  readonly columns: number;

  constructor(
    readonly explorer: Explorer,
    readonly layer: Layer,
    readonly detail: LayerDetail,
  ) {
    const [rows, columns] = mapSides(layer.shape);
    [this.rows, this.columns] = [rows, columns];
    this.window = geometry(detail.settings);
    const inside = (number: number, many: number): number => Math.min(number, many - 1);
    this.cursor = $derived([
      inside(explorer.navigation.place.at[0], rows),
      inside(this.explorer.navigation.place.at[1], columns),
    ]);
    this.at = $derived(this.hovered ?? this.cursor);
  }

  /** The pointer is on a point of the map; null: it has left the map. */
  point(point: readonly [number, number] | null): void {
    this.hover(point && pixelOf(point));
  }

  hover(at: At | null): void {
    if (at?.[0] !== this.hovered?.[0] || at?.[1] !== this.hovered?.[1]) this.hovered = at;
  }

  /** The pointer is on an input map: the window moves there. */
  hoverInput(shape: readonly number[], point: readonly [number, number] | null): void {
    this.hover(point && this.under(shape, point));
  }

  under(shape: readonly number[], point: readonly [number, number]): At {
    const [row, column] = pixelOf(point);
    const windowed = this.window ?? (this.same(shape) ? POINT : null);
    return outputAt(windowed, shape, this.layer.shape, [row + 0.5, column + 0.5]);
  }

  /** Opens the number at a position; `inputChannel` is the one whose products are shown. */
  open(at: At, inputChannel: number | null = null): void {
    this.explorer.openNumber(this.layer.name, this.explorer.navigation.place.unit, at);
    if (inputChannel !== null)
      this.explorer.navigation.move({ view: "number", own: { inputChannel } });
  }

  /** Arrow keys, Home and End move the cursor. */
  handleKey(event: KeyboardEvent, value: (at: At) => number | undefined): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shape = [1, this.rows, this.columns];
    const next = moved(shape, { unit: 0, at: this.cursor }, event.key);
    if (!next) return;
    event.preventDefault();
    this.hovered = null;
    this.explorer.navigation.move({ at: next.at });
    this.explorer.announce(`row ${next.at[0]}, column ${next.at[1]}: ${text(value(next.at))}`);
  }

  private same(shape: readonly number[]): boolean {
    return shape[1] === this.layer.shape[1] && shape[2] === this.layer.shape[2];
  }
}

const POINT: Geometry = { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1] };

// The receptive field of the unit that the pointer or the cursor is on, drawn on the image.
import type { LayerDetail } from "../api/wire";
import type { Navigation } from "./navigation.svelte";

/** A box in pixels of the network's input; bottom and right are exclusive. */
export type Box = readonly [top: number, left: number, bottom: number, right: number];

export class ReceptiveField {
  readonly #navigation: Navigation;
  #current: { readonly view: string; readonly box: Box } | null = $state.raw(null);
  /** The box to draw; null if there is none in the current view and layer. */
  readonly box: Box | null;

  constructor(navigation: Navigation) {
    this.#navigation = navigation;
    this.box = $derived(this.#current?.view === this.#view() ? this.#current.box : null);
  }

  show(box: Box | null): void {
    this.#current = box && { view: this.#view(), box };
  }

  /** Shows the receptive field of the unit at a position of a layer's map. */
  showAt(detail: LayerDetail | null, at: readonly [number, number] | null): void {
    const rows = at && detail?.rows?.[at[0]];
    const columns = at && detail?.columns?.[at[1]];
    this.show(rows && columns ? [rows[0], columns[0], rows[1], columns[1]] : null);
  }

  clear(): void {
    this.show(null);
  }

  #view(): string {
    const { view, layer } = this.#navigation.place;
    return JSON.stringify([view, layer]);
  }
}

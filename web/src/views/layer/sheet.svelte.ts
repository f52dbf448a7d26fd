// The maps of a layer in the order in which they are shown, fetched in batches as they come in view.
import { SvelteMap } from "svelte/reactivity";
import * as client from "../../source/server";
import { batches, type Span } from "../../model/tiles";
import { explorer } from "../../state/explorer.svelte";

const LARGE = 100 * 100; // values of a map; of such maps a batch has fewer

export class Sheet {
  readonly batch: number;
  readonly #maps = new SvelteMap<number, client.Maps>();
  readonly #asked = new Set<number>();
  readonly #failed = new Set<() => void>();
  #ended = false;

  /** `units[i]` is the channel at position i; its map has so many `values`. */
  constructor(
    readonly seen: client.Seen,
    readonly layer: string,
    readonly units: readonly number[],
    values: number,
  ) {
    this.batch = values > LARGE ? 16 : 32;
  }

  /** Sees to it that the maps of a span are there, and then those that come next. */
  async want(span: Span): Promise<void> {
    const now = batches(span, this.batch);
    const last = Math.ceil(this.units.length / this.batch) - 1;
    await Promise.all(now.map((batch) => this.#load(batch)));
    const around = [(now.at(-1) ?? 0) + 1, (now[0] ?? 0) - 1];
    for (const batch of around) if (batch >= 0 && batch <= last) void this.#load(batch);
  }

  async #load(batch: number): Promise<void> {
    if (this.#asked.has(batch)) return;
    this.#asked.add(batch);
    const units = this.units.slice(batch * this.batch, (batch + 1) * this.batch);
    try {
      this.#maps.set(batch, await client.activationMaps(this.seen, this.layer, units));
    } catch (error) {
      this.#asked.delete(batch);
      if (!this.#ended) this.#failed.add(explorer.fail(error, () => void this.#load(batch)));
    }
  }

  /** Nobody looks any more: what failed is not to be shown. */
  end(): void {
    this.#ended = true;
    for (const forget of this.#failed) forget();
  }

  /** The map at a position; null while it is on its way. */
  at(position: number): Float32Array | null {
    const maps = this.#maps.get(Math.floor(position / this.batch));
    return maps ? client.mapOf(maps, position % this.batch) : null;
  }
}

// Loads the maps of a layer in batches, as they come into view.
import { SvelteMap } from "svelte/reactivity";
import { batches, type Span } from "../../model/tiles";
import { mapOf, type Maps } from "../../model/maps";
import type { PassRequest } from "../../source/source";
import type { Explorer } from "../../state/explorer.svelte";

const LARGE = 100 * 100; // values of a map; batches of larger maps are smaller

export class MapLoader {
  readonly batch: number;
  readonly #maps = new SvelteMap<number, Maps>();
  /* eslint-disable svelte/prefer-svelte-reactivity -- no component reads these */
  readonly #requested = new Set<number>();
  readonly #removeErrors = new Set<() => void>();
  /* eslint-enable svelte/prefer-svelte-reactivity */
  #ended = false;

  /** `units[i]` is the channel at position i; its map has `values` numbers. */
  constructor(
    readonly explorer: Explorer,
    readonly request: PassRequest,
    readonly layer: string,
    readonly units: readonly number[],
    values: number,
  ) {
    this.batch = values > LARGE ? 16 : 32;
  }

  /** Requests the maps of a span, and then the next batches. */
  async want(span: Span): Promise<void> {
    const now = batches(span, this.batch);
    const last = Math.ceil(this.units.length / this.batch) - 1;
    await Promise.all(now.map((batch) => this.#load(batch)));
    const around = [(now.at(-1) ?? 0) + 1, (now[0] ?? 0) - 1];
    for (const batch of around) if (batch >= 0 && batch <= last) void this.#load(batch);
  }

  async #load(batch: number): Promise<void> {
    if (this.#requested.has(batch)) return;
    this.#requested.add(batch);
    const units = this.units.slice(batch * this.batch, (batch + 1) * this.batch);
    try {
      this.#maps.set(batch, await this.explorer.source.maps(this.request, this.layer, units));
    } catch (error) {
      this.#requested.delete(batch);
      if (this.#ended) return;
      const { errors } = this.explorer;
      this.#removeErrors.add(errors.report(error, () => void this.#load(batch)));
    }
  }

  /** To be called when the maps are no longer shown: removes their errors. */
  end(): void {
    this.#ended = true;
    for (const remove of this.#removeErrors) remove();
  }

  /** The map at a position; null while it is loading. */
  at(position: number): Float32Array | null {
    const maps = this.#maps.get(Math.floor(position / this.batch));
    return maps ? mapOf(maps, position % this.batch) : null;
  }
}

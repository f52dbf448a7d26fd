// What the networks say while the image is dragged: one question on its way at a time, and then the
// latest. To call off each for the next would leave a fast hand without any answer.
import * as api from "./requests";
import type { Moved } from "../../api/wire";
import { explorer } from "../../state/explorer.svelte";

export class Moving {
  /** The last answer, with the question that it belongs to. */
  shown: { readonly asked: api.Asked; readonly answer: Moved } | null = $state.raw(null);
  #wanted: api.Asked | null = null;
  #latest: api.Asked | null = null;
  #busy = false;
  #forget: () => void = () => undefined;

  ask(asked: api.Asked | null): void {
    if (JSON.stringify(asked) === JSON.stringify(this.#latest)) return;
    this.#again(asked);
  }

  /** Nobody looks any more: what failed is not to be shown. */
  end(): void {
    this.#wanted = this.#latest = null;
    this.#forget();
  }

  #again(asked: api.Asked | null): void {
    this.#wanted = this.#latest = asked;
    void this.#follow();
  }

  async #follow(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted) {
      const asked = this.#wanted;
      this.#wanted = null;
      this.#forget();
      try {
        this.shown = { asked, answer: await api.moved(asked) };
      } catch (error) {
        if (this.#latest) this.#forget = explorer.fail(error, () => this.#again(this.#latest));
      }
    }
    this.#busy = false;
  }
}

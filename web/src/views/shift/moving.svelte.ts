// What the networks say while the image is dragged: one question on its way at a time, and then the
// latest. To call off each for the next would leave a fast hand without any answer.
import * as api from "../../api/moved";
import type { Moved } from "../../api/wire";
import { explorer } from "../../state/explorer.svelte";

export class Moving {
  /** The last answer, with the question that it belongs to. */
  shown: { readonly asked: api.Asked; readonly answer: Moved } | null = $state.raw(null);
  #wanted: api.Asked | null = null;
  #busy = false;
  #forget: () => void = () => undefined;

  ask(asked: api.Asked | null): void {
    this.#wanted = asked;
    void this.#follow();
  }

  async #follow(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#forget();
    while (this.#wanted) {
      const asked = this.#wanted;
      this.#wanted = null;
      try {
        this.shown = { asked, answer: await api.moved(asked) };
      } catch (error) {
        this.#forget = explorer.fail(error, () => this.ask(asked));
      }
    }
    this.#busy = false;
  }
}

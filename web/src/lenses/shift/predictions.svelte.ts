// The predictions of the networks while the image is dragged: one request at a time, then the latest.
// If each request cancelled the one before, fast dragging would show no predictions at all.
import type { Explorer } from "../../state/explorer.svelte";
import { predictions, type ShiftPredictions, type ShiftRequest } from "./requests";

export class LatestPredictions {
  /** The last predictions, with the request that they belong to. */
  arrived: { readonly request: ShiftRequest; readonly answer: ShiftPredictions } | null =
    $state.raw(null);
  readonly #explorer: Explorer;
  #next: ShiftRequest | null = null;
  #latest: ShiftRequest | null = null;
  #busy = false;
  #removeError: () => void = () => undefined;

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  request(request: ShiftRequest | null): void {
    if (JSON.stringify(request) !== JSON.stringify(this.#latest)) this.#send(request);
  }

  /** To be called when the view is closed: removes its error. */
  end(): void {
    this.#next = this.#latest = null;
    this.#removeError();
  }

  #send(request: ShiftRequest | null): void {
    this.#next = this.#latest = request;
    void this.#follow();
  }

  async #follow(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { source, errors } = this.#explorer;
    while (this.#next) {
      const request = this.#next;
      this.#next = null;
      this.#removeError();
      try {
        this.arrived = { request, answer: await predictions(source, request) };
      } catch (error) {
        if (this.#latest) {
          this.#removeError = errors.report(error, () => this.#send(this.#latest));
        }
      }
    }
    this.#busy = false;
  }
}

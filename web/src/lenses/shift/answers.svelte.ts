// The answers of the networks while the image is dragged: one request on its way at a time, and then
// the latest. To cancel each for the next would leave a fast hand without any answer.
import type { Explorer } from "../../state/explorer.svelte";
import { movedAnswers, type MovedAnswers, type MovedRequest } from "./requests";

export class MovingAnswers {
  /** The last answers, with the request that they belong to. */
  arrived: { readonly request: MovedRequest; readonly answers: MovedAnswers } | null =
    $state.raw(null);
  readonly #explorer: Explorer;
  #next: MovedRequest | null = null;
  #latest: MovedRequest | null = null;
  #busy = false;
  #removeError: () => void = () => undefined;

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  request(request: MovedRequest | null): void {
    if (JSON.stringify(request) !== JSON.stringify(this.#latest)) this.#send(request);
  }

  /** Nothing of it is shown any more: its error is removed. */
  end(): void {
    this.#next = this.#latest = null;
    this.#removeError();
  }

  #send(request: MovedRequest | null): void {
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
        this.arrived = { request, answers: await movedAnswers(source, request) };
      } catch (error) {
        if (this.#latest) {
          this.#removeError = errors.report(error, () => this.#send(this.#latest));
        }
      }
    }
    this.#busy = false;
  }
}

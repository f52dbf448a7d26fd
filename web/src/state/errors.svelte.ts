// The requests that failed. The latest reason is shown, and all of them can be retried.

interface Failure {
  readonly message: string;
  readonly retry: () => void;
}

export class Errors {
  #failures: readonly Failure[] = $state.raw([]);
  readonly message: string | null = $derived(this.#failures.at(-1)?.message ?? null);

  /**
   * Shows an error, unless a request was merely cancelled. `retry` makes the request again. Returns
   * what removes the error, for when nobody needs the answer any more.
   */
  report(error: unknown, retry: () => void): () => void {
    if (error instanceof DOMException && error.name === "AbortError") return () => undefined;
    const failure = { message: error instanceof Error ? error.message : String(error), retry };
    this.#failures = [...this.#failures, failure];
    return () => {
      this.#failures = this.#failures.filter((one) => one !== failure);
    };
  }

  /** Makes every request again that failed. */
  retry(): void {
    const failures = this.#failures;
    this.#failures = [];
    for (const { retry } of failures) retry();
  }

  /** Removes all errors; nothing is requested again. */
  dismiss(): void {
    this.#failures = [];
  }
}

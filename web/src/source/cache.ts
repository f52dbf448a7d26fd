// A cache of answers with a maximum total size; the least recently used are removed first.

export class BoundedCache<T> {
  readonly #entries = new Map<string, { readonly answer: Promise<T>; size: number }>();
  #total = 0;

  constructor(
    readonly limit: number,
    readonly sizeOf: (answer: T) => number,
  ) {}

  /** The cached answer of a key, otherwise the result of `request`. Failures are not cached. */
  get(key: string, request: () => Promise<T>): Promise<T> {
    const kept = this.#entries.get(key);
    if (kept) {
      this.#entries.delete(key); // and set again, as the most recent
      this.#entries.set(key, kept);
      return kept.answer;
    }
    const entry = { answer: request(), size: 0 };
    this.#entries.set(key, entry);
    entry.answer.then(
      (answer) => {
        if (this.#entries.get(key) !== entry) return; // removed while it was loading
        entry.size = this.sizeOf(answer);
        this.#total += entry.size;
        this.#shrink(key);
      },
      () => this.#entries.delete(key),
    );
    return entry.answer;
  }

  #shrink(latest: string): void {
    for (const [key, { size }] of this.#entries) {
      if (this.#total <= this.limit || key === latest) break;
      this.#entries.delete(key);
      this.#total -= size;
    }
  }
}

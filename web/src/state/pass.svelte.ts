// The forward pass of the image, as the address names it.
import type { Pass, Progress } from "../api/wire";
import type { PassRequest, Source } from "../source/source";
import type { Errors } from "./errors.svelte";
import type { Navigation } from "./navigation.svelte";

export class CurrentPass {
  progress: Progress | null = $state.raw(null);
  /** Whether the pass of the address failed. */
  failed: boolean = $state(false);

  readonly #source: Source;
  readonly #navigation: Navigation;
  readonly #errors: Errors;
  /** The pass of the address as text, so that the same pass is requested only once. */
  readonly #key: string | null = $derived.by(() => {
    const { image, target, off } = this.#navigation.place;
    return image === null ? null : JSON.stringify({ image, target, off } satisfies PassRequest);
  });
  /** The pass that arrived last. */
  #arrived: { readonly key: string; readonly request: PassRequest; readonly result: Pass } | null =
    $state.raw(null);
  readonly #current = $derived(this.#arrived?.key === this.#key ? this.#arrived : null);

  /** The pass of the address; null until it has arrived. */
  readonly result: Pass | null = $derived(this.#current?.result ?? null);
  /** The request of this pass, for requests of maps and numbers; null until it has arrived. */
  readonly request: PassRequest | null = $derived(this.#current?.request ?? null);
  /** The last pass of this image, which is shown until the next one has arrived. */
  readonly latest: Pass | null = $derived.by(() => {
    const arrived = this.#arrived;
    return arrived?.result.image === this.#navigation.place.image ? arrived.result : null;
  });

  #running: AbortController | null = null;
  #requested: string | null = null;
  #removeError: () => void = () => undefined;

  constructor(source: Source, navigation: Navigation, errors: Errors) {
    this.#source = source;
    this.#navigation = navigation;
    this.#errors = errors;
  }

  /** Requests the pass of the address, unless it has arrived or is running. */
  async update(): Promise<void> {
    const key = this.#key;
    if (!key || key === this.#requested) return;
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.#requested = key;
    this.#removeError();
    this.failed = false;
    this.progress = { done: 0, of: 1 };
    const request = JSON.parse(key) as PassRequest;
    try {
      const report = (progress: Progress): void => void (this.progress = progress);
      const result = await this.#source.pass(request, report, running.signal);
      this.#arrived = { key, request, result };
    } catch (error) {
      if (running.signal.aborted) return;
      this.#requested = null;
      this.failed = true;
      this.#removeError = this.#errors.report(error, () => void this.update());
    }
    if (this.#running === running) this.progress = null;
  }
}

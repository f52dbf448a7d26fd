// The pass of the image through the network that the address asks for.
import type { Pass, Progress } from "../api/wire";
import type { PassRequest, Source } from "../source/source";
import type { Errors } from "./errors.svelte";
import type { Navigation } from "./navigation.svelte";

export class CurrentPass {
  progress: Progress | null = $state.raw(null);
  /** The pass that the address asks for could not be had. */
  failed: boolean = $state(false);

  readonly #source: Source;
  readonly #navigation: Navigation;
  readonly #errors: Errors;
  /** Which pass the address asks for, as text: the same one is requested once. */
  readonly #key: string | null = $derived.by(() => {
    const { image, target, off } = this.#navigation.place;
    return image === null ? null : JSON.stringify({ image, target, off } satisfies PassRequest);
  });
  /** The pass that arrived last. */
  #arrived: { readonly key: string; readonly request: PassRequest; readonly result: Pass } | null =
    $state.raw(null);
  readonly #current = $derived(this.#arrived?.key === this.#key ? this.#arrived : null);

  /** The pass that the address asks for; null until it has arrived. */
  readonly result: Pass | null = $derived(this.#current?.result ?? null);
  /** What maps and numbers are requested by; null until their pass has arrived. */
  readonly request: PassRequest | null = $derived(this.#current?.request ?? null);
  /** The last pass of this image: shown, under its own labels, until the next one has arrived. */
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

  /** Requests the pass that the address asks for, unless it is there or on its way. */
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

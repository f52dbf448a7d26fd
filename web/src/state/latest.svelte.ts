// The answer to a question that changes: the last answer stays until the next one is there.
import { explorer } from "./explorer.svelte";

/** To be called where effects may be. `ask` is called again when what it reads has changed. */
export function latest<T>(ask: (signal: AbortSignal) => Promise<T> | null): {
  readonly value: T | null;
} {
  let value = $state.raw<T | null>(null);
  $effect(() => {
    const asking = new AbortController();
    ask(asking.signal)?.then(
      (found) => {
        if (!asking.signal.aborted) value = found;
      },
      (error: unknown) => {
        if (asking.signal.aborted) return;
        value = null;
        explorer.report(error);
      },
    );
    return () => asking.abort();
  });
  return {
    get value() {
      return value;
    },
  };
}

// The answer to a question that changes. An answer belongs to its question: until the next one is
// there, there is none.
import { explorer } from "./explorer.svelte";

export interface Latest<Question, Answer> {
  /** The answer to the question as it is now. */
  readonly value: Answer | null;
  /** The answer that came last, with the question that it belongs to. */
  readonly last: { readonly asked: Question; readonly answer: Answer } | null;
}

/**
 * To be called where effects may be. `question` is plain data, null for none; `ask` is called when
 * it has changed, and again after a failure when one wants to try again.
 */
export function latest<Question, Answer>(
  question: () => Question | null,
  ask: (question: Question, signal: AbortSignal) => Promise<Answer>,
): Latest<Question, Answer> {
  const asked = $derived(question());
  const key = $derived(JSON.stringify(asked));
  let found = $state.raw<{ key: string; asked: Question; answer: Answer } | null>(null);
  let attempt = $state(0);
  $effect(() => {
    void attempt;
    const wanted = JSON.parse(key) as Question | null;
    if (wanted === null) return;
    const asking = new AbortController();
    let forget = (): void => undefined;
    ask(wanted, asking.signal).then(
      (answer) => {
        if (!asking.signal.aborted) found = { key, asked: wanted, answer };
      },
      (error: unknown) => {
        if (!asking.signal.aborted) forget = explorer.fail(error, () => (attempt += 1));
      },
    );
    return () => {
      asking.abort();
      forget();
    };
  });
  return {
    get value() {
      return found?.key === key ? found.answer : null;
    },
    get last() {
      return found;
    },
  };
}

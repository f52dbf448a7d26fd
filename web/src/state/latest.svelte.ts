// The answer to a request that changes. While a new request is running, there is no answer.
import { getExplorer } from "./context";

export interface Latest<Request, Answer> {
  /** The answer to the current request. */
  readonly value: Answer | null;
  /** The answer that arrived last, with its request. */
  readonly arrived: { readonly request: Request; readonly answer: Answer } | null;
}

/**
 * To be called in a component's script. `request` is plain data, null for none; `send` is called when
 * it has changed, and again after a failure when the user tries again.
 */
export function latest<Request, Answer>(
  request: () => Request | null,
  send: (request: Request, signal: AbortSignal) => Promise<Answer>,
): Latest<Request, Answer> {
  const { errors } = getExplorer();
  const key = $derived(JSON.stringify(request()));
  let arrived = $state.raw<{ key: string; request: Request; answer: Answer } | null>(null);
  let attempt = $state(0);
  $effect(() => {
    void attempt;
    const wanted = JSON.parse(key) as Request | null;
    if (wanted === null) return;
    const sending = new AbortController();
    let removeError = (): void => undefined;
    send(wanted, sending.signal).then(
      (answer) => {
        if (!sending.signal.aborted) arrived = { key, request: wanted, answer };
      },
      (error: unknown) => {
        if (!sending.signal.aborted) removeError = errors.report(error, () => (attempt += 1));
      },
    );
    return () => {
      sending.abort();
      removeError();
    };
  });
  return {
    get value() {
      return arrived?.key === key ? arrived.answer : null;
    },
    get arrived() {
      return arrived;
    },
  };
}

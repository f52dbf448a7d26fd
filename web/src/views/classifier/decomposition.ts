// A logit as a chain of sums, from the logit back to the feature maps.
import type { Layer, Ledger } from "../../api/wire";
import type { PassRequest, Source } from "../../source/source";
import { sameIndex, hasOneInput, termsOf, type Part } from "../../model/head";

/** How many terms of a sum are listed. */
export const LISTED = 10;

/**
 * A sum with its terms. The term `chosen` is decomposed further; `steps` are the operations with one
 * input between it and the next sum: dropout, ReLU, flatten.
 */
export interface Stage {
  readonly ledger: Ledger;
  readonly before: Ledger | null;
  readonly terms: readonly Part[];
  readonly chosen: number;
  readonly steps: readonly Ledger[];
}

/** Where the decomposition ends: a position in feature maps, or a layer without a formula. */
export interface Origin {
  readonly layer: Layer;
  readonly index: readonly number[];
}

/** The stages from the logit back; `stages[0]` is the logit. */
export interface Decomposition {
  readonly stages: readonly Stage[];
  readonly end: Origin | null;
}

/** Whether to stop at a layer: at maps, except maps of one pixel after pooling. */
const isMap = ({ shape, kind }: Layer): boolean =>
  shape.length >= 3 &&
  (kind === "convolution" || shape.slice(1).reduce((all, side) => all * side, 1) > 1);

/**
 * Decomposes a logit. At each sum it continues with the term that `path` names, otherwise with the
 * largest one. Throws when `signal` is aborted.
 */
export async function decompose(
  source: Source,
  request: PassRequest,
  layers: ReadonlyMap<string, Layer>,
  logits: string,
  target: number,
  path: readonly (readonly number[])[],
  signal: AbortSignal,
): Promise<Decomposition> {
  const stages: Stage[] = [];
  let node = logits;
  let index: readonly number[] = [target];
  for (;;) {
    signal.throwIfAborted();
    const layer = layers.get(node);
    if (!layer) return { stages, end: null };
    if (isMap(layer) || !layer.formula) return { stages, end: { layer, index } };
    const found = await source.number(request, node, index, LISTED);
    const last = stages.at(-1);
    if (hasOneInput(found)) {
      if (last) stages[stages.length - 1] = { ...last, steps: [...last.steps, found] };
      const [term] = termsOf(found);
      if (!term) return { stages, end: { layer, index } };
      [node, index] = [term.node, term.index];
      continue;
    }
    if (!found.weighted || !found.sources.length) return { stages, end: { layer, index } };
    const before = request.off.length
      ? await source.number({ ...request, off: [] }, node, index, 10 * LISTED)
      : null;
    const terms = termsOf(found, request.off, before);
    const wanted = path[stages.length];
    const named = wanted ? terms.findIndex((term) => sameIndex(term.index, wanted)) : -1;
    const chosen = named >= 0 ? named : Math.max(0, terms.findIndex((term) => !term.off)); // prettier-ignore
    stages.push({ ledger: found, before, terms, chosen, steps: [] });
    const term = terms[chosen];
    if (!term) return { stages, end: { layer, index } };
    [node, index] = [term.node, term.index];
  }
}

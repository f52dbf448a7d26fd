// The way from a class's logit back to the maps: sums worked out one behind the other, as ledgers.
import type { Layer, Ledger } from "../../api/wire";
import type { PassRequest, Source } from "../../source/source";
import { same, single, termsOf, type Part } from "../../model/head";

/** So many terms of a sum are listed. */
export const LISTED = 10;

/**
 * A number with its terms, of which `chosen` is followed. `steps` are the ledgers of what the chosen
 * unit came through before it was a sum again: dropout, ReLU, flatten.
 */
export interface Stage {
  readonly ledger: Ledger;
  readonly before: Ledger | null;
  readonly terms: readonly Part[];
  readonly chosen: number;
  readonly steps: readonly Ledger[];
}

/** Where it ends: a place of a layer's maps, or a layer that cannot be worked out. */
export interface End {
  readonly layer: Layer;
  readonly index: readonly number[];
}

/** From the logit back: `stages[0]` is the logit. */
export interface Trail {
  readonly stages: readonly Stage[];
  readonly end: End | null;
}

/** Maps, except those of one pixel that a pool made: a mean over a map is worth following. */
const isMap = ({ shape, kind }: Layer): boolean =>
  shape.length >= 3 &&
  (kind === "convolution" || shape.slice(1).reduce((all, side) => all * side, 1) > 1);

/** Follows a logit back, at each sum the term that was chosen, else the strongest, until called off. */
export async function follow(
  source: Source,
  request: PassRequest,
  layers: ReadonlyMap<string, Layer>,
  logits: string,
  target: number,
  way: readonly (readonly number[])[],
  signal: AbortSignal,
): Promise<Trail> {
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
    if (single(found)) {
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
    const wanted = way[stages.length];
    const named = wanted ? terms.findIndex((term) => same(term.index, wanted)) : -1;
    const chosen = named >= 0 ? named : Math.max(0, terms.findIndex((term) => !term.off)); // prettier-ignore
    stages.push({ ledger: found, before, terms, chosen, steps: [] });
    const term = terms[chosen];
    if (!term) return { stages, end: { layer, index } };
    [node, index] = [term.node, term.index];
  }
}

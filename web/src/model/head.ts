// The decomposition of a logit: the terms of each sum, the chosen path through them, and the lines
// between columns. Pure functions.

import type { Ledger } from "../api/wire";
import { terms, type Term } from "./window";

/** The fields of a layer that are used. */
export interface Node {
  readonly name: string;
  readonly kind: string;
  readonly operation: string;
  readonly shape: readonly number[];
  readonly inputs: readonly string[];
}

/** The fields of a ledger that are used. */
export type Sum = Pick<Ledger, "sources"> & { readonly rest: { readonly count: number } };

/** A term of a sum: value times weight. `productBefore` is the product with all units on. */
export interface Part extends Term {
  readonly off: boolean;
  readonly productBefore: number | null;
}

/** The terms of a softmax or a loss, largest logits first. */
export const largestFirst = (ledger: Pick<Ledger, "sources">): Term[] =>
  ledger.sources
    .flatMap((source) => terms(source))
    .sort((a, b) => (b.weight ?? 0) - (a.weight ?? 0) || (a.index[0] ?? 0) - (b.index[0] ?? 0));

export type Off = readonly (readonly [string, number])[];

const size = (product: number | null): number => Math.abs(product ?? 0);

/**
 * The listed terms, largest first. Units that are switched off stay in the list, ordered by their
 * product in `before`, the same sum with all units on.
 */
export function termsOf(sum: Sum, off: Off = [], before: Sum | null = null): Part[] {
  const earlier = new Map(
    before?.sources.flatMap((source) =>
      terms(source).map(({ node, index, product }) => [key(node, index), product] as const),
    ),
  );
  const found = sum.sources.flatMap((source) =>
    terms(source).map((term): Part => ({
      ...term,
      off: off.some(([node, unit]) => node === term.node && unit === term.index[0]),
      productBefore: earlier.get(key(term.node, term.index)) ?? null,
    })),
  );
  const listed = new Set(found.map((term) => key(term.node, term.index)));
  const nodes = new Set(sum.sources.map((source) => source.node));
  for (const [node, unit] of off) {
    const absent = nodes.has(node) && !listed.has(key(node, [unit]));
    if (!absent || !sum.sources.some((one) => one.node === node && one.index[0]?.length === 1)) {
      continue;
    }
    const productBefore = earlier.get(key(node, [unit])) ?? null;
    const nothing = { weight: null, value: 0, product: 0, padding: false };
    found.push({ node, index: [unit], ...nothing, off: true, productBefore });
  }
  const rank = (term: Part): number => (term.off ? size(term.productBefore) : size(term.product));
  return found
    .map((term, position) => ({ term, position }))
    .sort((a, b) => rank(b.term) - rank(a.term) || a.position - b.position)
    .map(({ term }) => term);
}

/** Whether a value is computed from exactly one other value, as in ReLU, dropout and flatten. */
export const hasOneInput = (sum: Sum): boolean =>
  sum.rest.count === 0 && sum.sources.length === 1 && sum.sources[0]?.index.length === 1;

const key = (node: string, index: readonly number[]): string => `${node} ${index.join(" ")}`;

export const sameIndex = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((number, i) => number === other[i]);

/** The path through the head, from the logits back: "12_7-3-2" is unit 12, then [7, 3, 2]. */
export function parsePath(text: string | null): readonly (readonly number[])[] {
  if (text === null || !/^\d{1,7}(-\d{1,7})*(_\d{1,7}(-\d{1,7})*)*$/.test(text)) return [];
  return text.split("_").map((one) => one.split("-").map(Number));
}

export const formatPath = (indices: readonly (readonly number[])[]): string | null =>
  indices.length ? indices.map((index) => index.join("-")).join("_") : null;

const WEIGHTED = new Set(["linear", "convolution"]);

/** The layer that computed the values of a node, and the elementwise layers after it. */
export function originOf(
  nodes: ReadonlyMap<string, Node>,
  name: string,
): { origin: Node | null; after: readonly Node[] } {
  const after: Node[] = [];
  let node = nodes.get(name) ?? null;
  while (node && node.shape.length === 1 && !WEIGHTED.has(node.kind) && node.inputs.length === 1) {
    const before = nodes.get(node.inputs[0] ?? "");
    if (!before || before.shape.length > node.shape.length) break;
    after.unshift(node);
    node = before;
  }
  return { origin: node, after };
}

/** The [channel, row, column] of a unit of a flattened vector; null: unknown. */
export function spot(nodes: ReadonlyMap<string, Node>, name: string, unit: number) {
  const node = nodes.get(name);
  const sides = nodes.get(node?.inputs[0] ?? "")?.shape;
  if (node?.kind !== "flatten" || sides?.length !== 3) return null;
  const [, height = 1, width = 1] = sides;
  const channel = Math.floor(unit / (height * width));
  return [channel, Math.floor(unit / width) % height, unit % width] as const;
}

/** "17", "5 [2,3]": a unit's name in its column. */
export function unitName(nodes: ReadonlyMap<string, Node>, node: string, index: readonly number[]) {
  const position = index.length === 1 ? (spot(nodes, node, index[0] ?? 0) ?? index) : index;
  const [unit, ...at] = position;
  return at.length ? `${unit} [${at.join(",")}]` : String(unit);
}

/** A line from row `from` of one column to row `to` of the next, in shares of the width. */
export function curve(from: number, to: number, row: number, width: number): string {
  const [start, end] = [(from + 0.5) * row, (to + 0.5) * row];
  return `M0 ${start}C${width / 2} ${start} ${width / 2} ${end} ${width} ${end}`;
}

/** The width of a line in pixels, 0.75 to `max`: proportional to the product. */
export function thickness(product: number | null, largest: number, max = 8): number {
  return largest > 0 ? Math.max(0.75, (Math.abs(product ?? 0) / largest) * max) : 0.75;
}

// How a class score is followed back through the head: its terms as rows, the way that was chosen,
// and where the lines between columns run. Pure.

import type { Ledger } from "../api/wire";
import { terms, type Term } from "./window";

/** As much of a layer as is needed here. */
export interface Node {
  readonly name: string;
  readonly kind: string;
  readonly operation: string;
  readonly shape: readonly number[];
  readonly inputs: readonly string[];
}

/** As much of a ledger as is needed here. */
export type Sum = Pick<Ledger, "sources"> & { readonly rest: { readonly count: number } };

/** A term of a logit's sum: a unit's value times its weight. `was` is its product before. */
export interface Part extends Term {
  readonly off: boolean;
  readonly was: number | null;
}

/** The terms of a softmax or a loss, those of the largest logits first. */
export const ranks = (ledger: Pick<Ledger, "sources">): Term[] =>
  ledger.sources
    .flatMap((source) => terms(source))
    .sort((a, b) => (b.weight ?? 0) - (a.weight ?? 0) || (a.index[0] ?? 0) - (b.index[0] ?? 0));

export type Off = readonly (readonly [string, number])[];

const size = (product: number | null): number => Math.abs(product ?? 0);

/**
 * The terms that are listed, the strongest first. Units that are switched off stay in the list, at
 * the place that their product had in `before`, the same sum with all units on.
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
      was: earlier.get(key(term.node, term.index)) ?? null,
    })),
  );
  const listed = new Set(found.map((term) => key(term.node, term.index)));
  const nodes = new Set(sum.sources.map((source) => source.node));
  for (const [node, unit] of off) {
    const absent = nodes.has(node) && !listed.has(key(node, [unit]));
    if (!absent || !sum.sources.some((one) => one.node === node && one.index[0]?.length === 1)) {
      continue;
    }
    const was = earlier.get(key(node, [unit])) ?? null;
    const nothing = { weight: null, value: 0, product: 0, padding: false };
    found.push({ node, index: [unit], ...nothing, off: true, was });
  }
  const rank = (term: Part): number => (term.off ? size(term.was) : size(term.product));
  return found
    .map((term, place) => ({ term, place }))
    .sort((a, b) => rank(b.term) - rank(a.term) || a.place - b.place)
    .map(({ term }) => term);
}

/** Whether a number is made from one other alone, as by ReLU, dropout and flatten. */
export const single = (sum: Sum): boolean =>
  sum.rest.count === 0 && sum.sources.length === 1 && sum.sources[0]?.index.length === 1;

const key = (node: string, index: readonly number[]): string => `${node} ${index.join(" ")}`;

export const same = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((number, i) => number === other[i]);

/** The way through the head, from the logits back: "12_7-3-2" is unit 12, then [7, 3, 2]. */
export function way(text: string | null): readonly (readonly number[])[] {
  if (text === null || !/^\d{1,7}(-\d{1,7})*(_\d{1,7}(-\d{1,7})*)*$/.test(text)) return [];
  return text.split("_").map((one) => one.split("-").map(Number));
}

export const wayText = (indices: readonly (readonly number[])[]): string | null =>
  indices.length ? indices.map((index) => index.join("-")).join("_") : null;

const WEIGHTED = new Set(["linear", "convolution"]);

/** The layers behind a node that hand single values on, down to the one that made them. */
export function madeBy(
  nodes: ReadonlyMap<string, Node>,
  name: string,
): { origin: Node | null; then: readonly Node[] } {
  const then: Node[] = [];
  let node = nodes.get(name) ?? null;
  while (node && node.shape.length === 1 && !WEIGHTED.has(node.kind) && node.inputs.length === 1) {
    const before = nodes.get(node.inputs[0] ?? "");
    if (!before || before.shape.length > node.shape.length) break;
    then.unshift(node);
    node = before;
  }
  return { origin: node, then };
}

/** Where in the maps a unit of a flattened vector stands, [channel, row, column]; null: unknown. */
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
  const place = index.length === 1 ? (spot(nodes, node, index[0] ?? 0) ?? index) : index;
  const [unit, ...at] = place;
  return at.length ? `${unit} [${at.join(",")}]` : String(unit);
}

/** A line from row `from` of one column to row `to` of the next, in shares of the width. */
export function curve(from: number, to: number, row: number, width: number): string {
  const [start, end] = [(from + 0.5) * row, (to + 0.5) * row];
  return `M0 ${start}C${width / 2} ${start} ${width / 2} ${end} ${width} ${end}`;
}

/** How thick a line is: as its product to the largest, 0.75 to `most` pixels. */
export function thickness(product: number | null, largest: number, most = 8): number {
  return largest > 0 ? Math.max(0.75, (Math.abs(product ?? 0) / largest) * most) : 0.75;
}

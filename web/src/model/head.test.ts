import { describe, expect, it } from "vitest";
import {
  curve,
  originOf,
  sameIndex,
  hasOneInput,
  spot,
  termsOf,
  thickness,
  unitName,
  parsePath,
  formatPath,
  type Node,
} from "./head";

const source = (node: string, terms: [number, number][]) => ({
  node,
  index: terms.map(([unit]) => [unit]),
  weight: terms.map(() => 1),
  value: terms.map(([, product]) => product),
  product: terms.map(([, product]) => product),
  padding: terms.map(() => false),
});
const sum = (terms: [number, number][], count = 0) => ({
  sources: [source("drop", terms)],
  rest: { count },
});

describe("terms", () => {
  it("are sorted by magnitude", () => {
    const found = termsOf(sum([[4, 1], [7, -3], [2, 2]])); // prettier-ignore
    expect(found.map((term) => term.index[0])).toEqual([7, 2, 4]);
    expect(found.every((term) => !term.off)).toBe(true);
  });

  it("keep a switched-off unit at its position", () => {
    const before = sum([[7, -3], [2, 2], [4, 1]]); // prettier-ignore
    const off = [
      ["drop", 2],
      ["other", 9],
    ] as const;
    const found = termsOf(sum([[7, -3], [4, 1]], 3), off, before); // prettier-ignore
    expect(
      found.map((term) => [term.index[0], term.product, term.off, term.productBefore]),
    ).toEqual([
      [7, -3, false, -3],
      [2, 0, true, 2],
      [4, 1, false, 1],
    ]);
  });

  it("with one input are recognised", () => {
    expect(hasOneInput(sum([[1, 2]]))).toBe(true);
    expect(hasOneInput(sum([[1, 2]], 4))).toBe(false);
    expect(hasOneInput({ sources: [source("a", [[0, 1]]), source("b", [[0, 1]])], rest: { count: 0 } }))
      .toBe(false); // prettier-ignore
  });
});

describe("the path", () => {
  it("is parsed to the same path", () => {
    const indices = [[4095], [7], [3, 2, 1]];
    expect(formatPath(indices)).toBe("4095_7_3-2-1");
    expect(parsePath(formatPath(indices))).toEqual(indices);
    expect(formatPath([])).toBeNull();
  });

  it("is empty for text that is not a path", () => {
    for (const text of [null, "", "_", "1_", "a", "-1", "1--2", "1e9", "12345678", "1 2"]) {
      expect(parsePath(text)).toEqual([]);
    }
  });
});

const nodes = new Map<string, Node>(
  (
    [
      ["input", "input", [3, 8, 8], []],
      ["pool", "max_pool", [2, 3, 4], ["input"]],
      ["flat", "flatten", [24], ["pool"]],
      ["fc1", "linear", [5], ["flat"]],
      ["relu", "relu", [5], ["fc1"]],
      ["drop", "dropout", [5], ["relu"]],
      ["fc2", "linear", [5], ["drop"]],
      ["add", "add", [5], ["fc2", "drop"]],
    ] as [string, string, number[], string[]][]
  ).map(([name, kind, shape, inputs]) => [name, { name, kind, operation: kind, shape, inputs }]),
);

describe("units", () => {
  it("are traced to the layer that computed them", () => {
    const names = (name: string) => {
      const { origin, after } = originOf(nodes, name);
      return [origin?.name, ...after.map((node) => node.name)];
    };
    expect(names("drop")).toEqual(["fc1", "relu", "drop"]);
    expect(names("fc2")).toEqual(["fc2"]);
    expect(names("flat")).toEqual(["flat"]);
    expect(names("add")).toEqual(["add"]);
    expect(names("nothing")).toEqual([undefined]);
  });

  it("of a flattened vector are named by their position in the maps", () => {
    expect(spot(nodes, "flat", 23)).toEqual([1, 2, 3]);
    expect(spot(nodes, "flat", 12)).toEqual([1, 0, 0]);
    expect(spot(nodes, "relu", 3)).toBeNull();
    expect(unitName(nodes, "flat", [6])).toBe("0 [1,2]");
    expect(unitName(nodes, "relu", [3])).toBe("3");
    expect(unitName(nodes, "pool", [1, 2, 3])).toBe("1 [2,3]");
    expect(sameIndex([1, 2], [1, 2]) && !sameIndex([1], [1, 2])).toBe(true);
  });

  it("are connected by lines whose width is that of their products", () => {
    expect(curve(0, 1, 20, 100)).toBe("M0 10C50 10 50 30 100 30");
    expect([thickness(-4, 4), thickness(2, 4), thickness(0, 4), thickness(null, 0)]).toEqual([
      8, 4, 0.75, 0.75,
    ]);
  });
});

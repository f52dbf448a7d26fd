import { describe, expect, it } from "vitest";
import { lanesOf } from "./lanes";

const chain = [
  { name: "input", inputs: [] },
  { name: "a", inputs: ["input"] },
  { name: "b", inputs: ["a"] },
];

describe("lanes", () => {
  it("a chain needs one lane", () => {
    const { nodes, edges, count } = lanesOf(chain);
    expect(nodes).toEqual([0, 0, 0]);
    expect(count).toBe(1);
    expect(edges).toEqual([
      { from: 0, to: 1, out: 0, lane: 0, into: 0 },
      { from: 1, to: 2, out: 0, lane: 0, into: 0 },
    ]);
  });

  it("a shortcut has a lane beside its block", () => {
    const { nodes, edges, count } = lanesOf([
      ...chain,
      { name: "add", inputs: ["b", "input"] },
      { name: "relu", inputs: ["add"] },
    ]);
    expect(nodes).toEqual([0, 0, 0, 0, 0]);
    expect(count).toBe(2);
    expect(edges).toContainEqual({ from: 0, to: 3, out: 0, lane: 1, into: 0 });
  });

  it("branches have lanes side by side, and free lanes are used again", () => {
    const { nodes, count } = lanesOf([
      { name: "input", inputs: [] },
      { name: "left", inputs: ["input"] },
      { name: "right", inputs: ["input"] },
      { name: "join", inputs: ["left", "right"] },
      { name: "c", inputs: ["join"] },
      { name: "d", inputs: ["join"] },
      { name: "end", inputs: ["c", "d"] },
    ]);
    expect(nodes).toEqual([0, 0, 1, 0, 0, 1, 0]);
    expect(count).toBe(2);
  });

  it("two edges at the same rows never share a lane", () => {
    const vertices = Array.from({ length: 40 }, (_, i) => ({
      name: String(i),
      inputs: [i - 1, i - 3, i - 7].filter((j) => j >= 0).map(String),
    }));
    const { edges, nodes } = lanesOf(vertices);
    expect(edges).toHaveLength(vertices.reduce((sum, node) => sum + node.inputs.length, 0));
    for (const one of edges) {
      for (const other of edges) {
        if (one === other || one.lane !== other.lane) continue;
        expect(one.to <= other.from || other.to <= one.from).toBe(true);
      }
      for (let row = one.from + 1; row < one.to; row++) expect(nodes[row]).not.toBe(one.lane);
    }
  });
});

import { describe, expect, it } from "vitest";
import { chain, firstInput, mapSides, ordered, origins, windowAt } from "./maps";

const FAMILIES: Record<string, string> = {
  relu: "activation",
  max_pool: "pool",
  multiply: "arithmetic",
  concatenate: "rearrangement",
};
const layer = (name: string, kind: string, inputs: string[], shape: number[]) => ({
  name,
  kind,
  family: FAMILIES[kind] ?? "",
  inputs,
  shape,
});
const layers = [
  layer("conv", "convolution", ["input"], [4, 8, 8]),
  layer("norm", "batch_norm", ["conv"], [4, 8, 8]),
  layer("relu", "relu", ["norm"], [4, 8, 8]),
  layer("pool", "max_pool", ["relu"], [4, 4, 4]),
  layer("side", "convolution", ["pool"], [2, 4, 4]),
  layer("cat", "concatenate", ["pool", "side"], [6, 4, 4]),
  layer("gate", "convolution", ["pool"], [1, 4, 4]),
  layer("scaled", "multiply", ["pool", "gate"], [4, 4, 4]),
];
const named = (name: string) => layers.find((one) => one.name === name)!;

describe("maps", () => {
  it("have the sides that the server sends", () => {
    expect([[3, 4, 5], [7], [2, 9], [2, 3, 4, 5], []].map(mapSides)).toEqual([
      [4, 5],
      [1, 1],
      [1, 9],
      [12, 5],
      [1, 1],
    ]);
  });

  it("are ordered by their means", () => {
    expect(ordered(3, [0, 1, 0])).toEqual([1, 0, 2]);
    expect(ordered(3, null)).toEqual([0, 1, 2]);
    expect(ordered(3, [null, -2, 1])).toEqual([2, 1, 0]);
  });

  it("continue from a convolution to its activation function", () => {
    expect(chain(layers, "conv").map((one) => one.name)).toEqual(["norm", "relu"]);
    expect(chain(layers, "pool")).toEqual([]);
  });

  it("are computed from other maps", () => {
    const of = (name: string, unit: number) => origins(layers, named(name), { dim: 1 }, unit);
    expect(of("pool", 3)).toEqual([{ layer: "relu", channel: 3 }]);
    expect(of("cat", 3)).toEqual([{ layer: "pool", channel: 3 }]);
    expect(of("cat", 5)).toEqual([{ layer: "side", channel: 1 }]);
    expect(of("scaled", 2)).toEqual([
      { layer: "pool", channel: 2 },
      { layer: "gate", channel: 0 },
    ]);
    expect(of("conv", 2)).toBeNull();
    expect(origins(layers, named("cat"), { dim: 2 }, 1)).toBeNull();
  });

  it("of a group are computed from its input channels", () => {
    const grouped = layer("g", "convolution", ["pool"], [8, 2, 2]);
    expect(firstInput(grouped, named("pool"), { groups: 2 }, 3)).toEqual({ first: 0, count: 2 });
    expect(firstInput(grouped, named("pool"), { groups: 2 }, 4)).toEqual({ first: 2, count: 2 });
    expect(firstInput(grouped, named("pool"), {}, 4)).toEqual({ first: 0, count: 4 });
  });

  it("have a window on the input", () => {
    const window = {
      kernel: [3, 3],
      stride: [2, 2],
      padding: [1, 1],
      dilation: [1, 2],
    } as const;
    expect(windowAt(window, [1, 9, 9], [1, 5, 5], [0, 2])).toEqual({
      row: -1,
      column: 3,
      height: 3,
      width: 5,
    });
    expect(windowAt(null, [1, 7, 8], [1, 2, 2], [1, 1])).toEqual({
      row: 3,
      column: 4,
      height: 4,
      width: 4,
    });
  });
});

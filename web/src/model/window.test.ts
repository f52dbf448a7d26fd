import { expect, test } from "vitest";
import { around, channelTerms, geometry, grid, outputAt, terms } from "./window";

const source = {
  node: "before",
  index: [
    [4, 1, 2],
    [4, 0, 3],
    [4, 0, 2],
    [4, 1, 3],
    [5, 0, 0],
  ],
  weight: [1, 2, 3, 4, 5],
  value: [1, 1, 1, 1, null],
  product: [1, 2, 3, 4, 5],
  padding: [false, false, false, false, true],
};

test("settings are numbers or pairs; a pool without stride goes by its window", () => {
  expect(geometry({ kernel_size: 3, stride: [], padding: [1, 2] })).toEqual({
    kernel: [3, 3],
    stride: [3, 3],
    padding: [1, 2],
    dilation: [1, 1],
  });
  expect(geometry({ output_size: [2, 2] })).toBeNull();
});

test("the window's centre goes under the pointer, inside of the map", () => {
  const padded = geometry({ kernel_size: 3, stride: 1, padding: 1 });
  const input = [1, 8, 8];
  for (const place of [0, 3, 7]) {
    expect(outputAt(padded, input, input, [place + 0.5, 7.9])).toEqual([place, 7]);
  }
  const strided = geometry({ kernel_size: 3, stride: 2, padding: 0 });
  expect(outputAt(strided, input, [1, 3, 3], [3.5, 7.9])).toEqual([1, 2]);
  const dilated = geometry({ kernel_size: 3, stride: 1, padding: 0, dilation: 2 });
  expect(outputAt(dilated, input, [1, 4, 4], [2.5, 3.5])).toEqual([0, 1]);
  expect(outputAt(null, [1, 7, 7], [1, 2, 2], [3.4, 3.6])).toEqual([0, 1]);
});

test("terms lie as on the map", () => {
  const rows = grid(terms(source, 0, 4)).map((row) => row.map((term) => term.weight));
  expect(rows).toEqual([
    [3, 2],
    [1, 4],
  ]);
  expect(around(terms(source, 0, 4))).toEqual({ row: 0, column: 2, height: 2, width: 2 });
  expect(around([])).toBeNull();
  const [only] = channelTerms(source, [5, 1, 1], 4);
  expect(only).toEqual({
    node: "before",
    index: [5, 0, 0],
    weight: 5,
    value: null,
    product: 5,
    padding: true,
  });
});

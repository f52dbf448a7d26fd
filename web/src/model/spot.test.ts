import { expect, test } from "vitest";
import { indexOf, missing, moved, next, spotOf, words } from "./spot";

test("an index has as many numbers as the layer's output has axes", () => {
  const spot = { unit: 3, at: [1, 2] as const };
  expect(indexOf([8, 4, 4], spot)).toEqual([3, 1, 2]);
  expect(indexOf([8, 4], spot)).toEqual([3, 1]);
  expect(indexOf([8], spot)).toEqual([3]);
  expect(indexOf([], spot)).toEqual([]);
  expect(spotOf([3, 1, 2])).toEqual(spot);
  expect(words([3, 1, 2])).toBe("channel 3, row 1, column 2");
  expect(words([3])).toBe("unit 3");
});

test("a position outside is reported with the nearest one inside", () => {
  expect(missing("conv", [8, 4, 4], { unit: 7, at: [3, 3] })).toBeNull();
  expect(missing("conv", [8, 4, 4], { unit: 8, at: [9, 2] })).toEqual({
    problem: "There is no channel 8 in conv: its channels are 0 to 7.",
    nearest: { unit: 7, at: [3, 2] },
  });
  expect(missing("fc", [8], { unit: 2, at: [9, 9] })).toBeNull();
  expect(missing("loss", [], { unit: 2, at: [9, 9] })).toBeNull();
});

test("keys move inside of the map, and units of a vector", () => {
  const shape = [8, 3, 4];
  const at = (row: number, column: number) => ({ unit: 2, at: [row, column] as const });
  expect(moved(shape, at(0, 0), "ArrowUp")).toEqual(at(0, 0));
  expect(moved(shape, at(0, 0), "ArrowDown")).toEqual(at(1, 0));
  expect(moved(shape, at(1, 2), "End")).toEqual(at(1, 3));
  expect(moved(shape, at(1, 2), "Home")).toEqual(at(1, 0));
  expect(moved(shape, at(1, 2), "a")).toBeNull();
  expect(moved([8], at(0, 0), "ArrowRight")?.unit).toBe(3);
  expect(moved([8], at(0, 0), "End")?.unit).toBe(7);
});

test("steps go row by row and begin again", () => {
  expect(next([1, 2, 2], [0, 0])).toEqual([0, 1]);
  expect(next([1, 2, 2], [0, 1])).toEqual([1, 0]);
  expect(next([1, 2, 2], [1, 1])).toEqual([0, 0]);
});

import { expect, test } from "vitest";
import { barsPath, columns } from "./bars";
import { account, strongest } from "./sums";

test("the largest sums are named, with the one in question; the others are added up", () => {
  const sums = [0.5, -4, 3, 0, 1, 2, -0.25, 0.125];
  const found = account(sums, 10, 13);
  expect(found.named.map(({ channel }) => channel)).toEqual([11, 12, 15, 14, 13]);
  expect(found.others).toEqual({ count: 3, sum: 0.375 });
  const named = found.named.reduce((total, { sum }) => total + (sum ?? 0), 0);
  expect(named + (found.others?.sum ?? 0)).toBe(sums.reduce((a, b) => a + b));
});

test("few channels are all named", () => {
  expect(account([1, 2, 3, 4, 5, 6], 0, 0).others).toBeNull();
  expect(account([1], 0, 0).named).toEqual([{ channel: 0, sum: 1 }]);
});

test("a sum that is no number makes the others' none, and is not the strongest", () => {
  const sums = [null, 1, 2, 3, 4, 5, 6];
  expect(account(sums, 0, 6).others?.sum).toBeNaN();
  expect(strongest(sums, 100)).toBe(106);
});

test("bars keep the largest and the smallest of what falls together", () => {
  const many = Array.from({ length: 4000 }, (_, i) => (i === 2005 ? -7 : i === 2006 ? 9 : 0));
  const found = columns(many);
  expect(found).toHaveLength(400);
  expect(found[200]).toEqual({ low: -7, high: 9 });
  expect(barsPath([1, -1], 10, 8).zero).toBe(4);
  expect(barsPath([0, 0], 10, 8).path).toBe("");
  expect(barsPath([1, Number.NaN], 10, 8).path).not.toContain("NaN");
});

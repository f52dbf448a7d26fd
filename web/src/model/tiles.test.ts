import { describe, expect, it } from "vitest";
import { batches, corner, inView, scrolled, side, stepped, tiling } from "./tiles";

describe("tiles", () => {
  const tiles = tiling(512, 1000, 120, 130); // 8 in a row, 64 rows

  it("fill rows", () => {
    expect(tiles).toMatchObject({ columns: 8, rows: 64 });
    expect(corner(tiles, 9)).toEqual([120, 130]);
    expect(tiling(3, 1000, 120, 130).columns).toBe(3);
    expect(tiling(3, 50, 120, 130)).toMatchObject({ columns: 1, rows: 3 });
  });

  it("are in view with one spare row", () => {
    expect(inView(tiles, 0, 600)).toEqual({ first: 0, end: 48 });
    expect(inView(tiles, 1300, 600)).toEqual({ first: 72, end: 128 });
    expect(inView(tiles, 64 * 130 - 600, 600).end).toBe(512);
    expect(inView(tiles, 1e6, 600)).toEqual({ first: 512, end: 512 });
  });

  it("are requested in batches", () => {
    expect(batches({ first: 30, end: 65 }, 32)).toEqual([0, 1, 2]);
    expect(batches({ first: 32, end: 64 }, 32)).toEqual([1]);
    expect(batches({ first: 5, end: 5 }, 32)).toEqual([]);
  });

  it("are scrolled no further than needed", () => {
    expect(scrolled(tiles, 0, 500, 600)).toBe(0);
    expect(scrolled(tiles, 8 * 5, 500, 600)).toBe(500);
    expect(scrolled(tiles, 511, 0, 600)).toBe(64 * 130 - 600);
  });

  it("are selected by keys", () => {
    expect(stepped(tiles, 0, "ArrowLeft", 600)).toBe(0);
    expect(stepped(tiles, 7, "ArrowRight", 600)).toBe(8);
    expect(stepped(tiles, 3, "ArrowUp", 600)).toBe(3);
    expect(stepped(tiles, 3, "ArrowDown", 600)).toBe(11);
    expect(stepped(tiles, 0, "PageDown", 600)).toBe(32);
    expect(stepped(tiles, 9, "End", 600)).toBe(511);
    expect(stepped(tiles, 9, "x", 600)).toBeNull();
    const ragged = tiling(10, 1000, 120, 130);
    expect(stepped(ragged, 7, "ArrowDown", 600)).toBe(9);
    expect(stepped(ragged, 9, "ArrowDown", 600)).toBe(9);
  });

  it("enlarge small maps by whole factors", () => {
    expect([7, 14, 28, 56, 112, 224].map((one) => side(one, 100))).toEqual([
      98, 98, 112, 112, 112, 100,
    ]);
  });
});

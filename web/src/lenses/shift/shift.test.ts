import { describe, expect, it } from "vitest";
import { formatShift, keyed, parseShift, shiftWords, within } from "./shift";

describe("a shift in the address", () => {
  it("is parsed to the same shift", () => {
    const shift = { dx: 3, dy: -2, border: "edge" } as const;
    expect(parseShift(formatShift(shift))).toEqual(shift);
  });

  it("understands the old name of a border", () => {
    expect(parseShift("3,-2,circular").border).toBe("wrap");
  });

  it("is zero if it is not understood, and limited by the size of the image", () => {
    const middle = { dx: 0, dy: 0, border: "zero" };
    for (const text of [null, "", "here", "2", "3,1", "1e9,x,moon", ",,"]) {
      expect(parseShift(text)).toEqual(middle);
    }
    expect(within(parseShift("99,-99,zero"), 27)).toEqual({ dx: 27, dy: -27, border: "zero" });
  });

  it("is changed by keys", () => {
    const shift = { dx: 26, dy: 0, border: "zero" } as const;
    expect(keyed(shift, "ArrowRight", true, 27)?.dx).toBe(27);
    expect(keyed(shift, "ArrowUp", false, 27)?.dy).toBe(-1);
    expect(keyed(shift, "Home", false, 27)).toEqual({ dx: 0, dy: 0, border: "zero" });
    expect(keyed(shift, "x", false, 27)).toBeNull();
  });

  it("is written in words", () => {
    expect(shiftWords({ dx: -3, dy: 2 })).toBe("3 left, 2 down");
    expect(shiftWords({ dx: 0, dy: 0 })).toBe("not shifted");
  });
});

import { describe, expect, it } from "vitest";
import {
  blamed,
  decode,
  encode,
  entry,
  DEFAULTS,
  nameOf,
  placeAround,
  plain,
  rowsOf,
  whole,
  windowStart,
  type KernelSettings,
} from "./settings";

const set: KernelSettings = {
  photo: false,
  kernel: [0.0625, -0.125, 0, 1, 2, 3, -4, 5.5, -999999],
  stride: 0,
  padding: 12,
  dilation: 3,
  border: "reflect",
  at: [17, 3],
  axis: { size: 10, kernel: 3, stride: 2, padding: 1, dilation: 4 },
};

describe("the address of the kernel view", () => {
  it("gives the settings back, also through an address", () => {
    expect(decode(encode(set))).toEqual(set);
    const query = new URLSearchParams({ kernel: encode(set) ?? "" }).toString();
    expect(query).not.toContain("%");
    expect(decode(new URLSearchParams(query).get("kernel"))).toEqual(set);
  });

  it("is nothing at the start", () => {
    expect(encode(DEFAULTS)).toBeNull();
    expect(decode(null)).toEqual(DEFAULTS);
  });

  it("takes what it does not understand for the start", () => {
    for (const text of [
      "",
      "*",
      "k1_2_3",
      "k1_0_-1_2_0_-2_1_0_x",
      "kNaN_0_0_0_0_0_0_0_0",
      "s-1",
      "s1.5",
      "p99999",
      "d1e3",
      "bmoon",
      "a1",
      "a1_2_3",
      "n1_2",
      "xyes",
      "k1e9_0_0_0_0_0_0_0_0",
      "__proto__",
    ])
      // prettier-ignore
      expect(decode(text)).toEqual(DEFAULTS);
  });
});

describe("what is typed", () => {
  it("is a number or none", () => {
    expect(["1", "-2.5", "0,0625", "−1", ".5", "-0", " 7 "].map(entry)).toEqual([
      1, -2.5, 0.0625, -1, 0.5, 0, 7,
    ]);
    expect(["", "-", "1e3", "two", "1234567", "1.2.3"].map(entry)).toEqual(Array(6).fill(null));
    expect(["0", "12", "9999"].map(whole)).toEqual([0, 12, 9999]);
    expect(["", "-1", "1.5", "10000"].map(whole)).toEqual(Array(4).fill(null));
    expect([0.0625, -0, 1 / 3].map(plain)).toEqual(["0.0625", "0", "0.333333"]);
  });

  it("is recognised as a preset", () => {
    const presets = [{ name: "identity", kernel: [[0, 0, 0], [0, 1, 0], [0, 0, 0]] }]; // prettier-ignore
    expect(nameOf([0, 0, 0, 0, 1, 0, 0, 0, 0], presets)).toBe("identity");
    expect(nameOf([0, 0, 0, 0, 2, 0, 0, 0, 0], presets)).toBeNull();
    expect(rowsOf([1, 2, 3, 4])).toEqual([[1, 2], [3, 4]]); // prettier-ignore
  });

  it("is blamed by name", () => {
    expect([...blamed("stride=0: give a whole number, 1 or more")]).toEqual(["stride"]);
    expect([...blamed("a kernel of 3 with dilation 9 covers 19 pixels")]).toEqual([
      "kernel",
      "dilation",
    ]);
  });
});

describe("the kernel", () => {
  it("goes where the pointer is, and stays on the picture", () => {
    const plainly = { stride: 1, padding: 0, dilation: 1 };
    expect(placeAround([1, 1], plainly, [4, 4])).toEqual([0, 0]);
    expect(placeAround([3, 2], plainly, [4, 4])).toEqual([2, 1]);
    expect(placeAround([0, 5], plainly, [4, 4])).toEqual([0, 3]);
    expect(placeAround([4, 0], { stride: 2, padding: 1, dilation: 1 }, [3, 3])).toEqual([2, 0]);
    expect(placeAround([4, 4], { stride: 0, padding: 0, dilation: 1 }, [0, 0])).toEqual([0, 0]);
  });

  it("is in the middle of the window of numbers, except at the ends", () => {
    expect([0, 4, 10, 27].map((at) => windowStart(at, 9, 28))).toEqual([0, 0, 6, 19]);
    expect(windowStart(2, 9, 6)).toBe(0);
  });
});

import { describe, expect, it } from "vitest";
import {
  settingsNamedIn,
  decode,
  encode,
  parseEntry,
  DEFAULTS,
  nameOf,
  outputAround,
  entryText,
  rowsOf,
  parseCount,
  windowStart,
  type KernelSettings,
} from "./settings";

const settings: KernelSettings = {
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
  it("is decoded to the same settings", () => {
    expect(decode(encode(settings))).toEqual(settings);
    const query = new URLSearchParams({ kernel: encode(settings) ?? "" }).toString();
    expect(query).not.toContain("%");
    expect(decode(new URLSearchParams(query).get("kernel"))).toEqual(settings);
  });

  it("is empty for the defaults", () => {
    expect(encode(DEFAULTS)).toBeNull();
    expect(decode(null)).toEqual(DEFAULTS);
  });

  it("has defaults for what is not understood", () => {
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

describe("an input", () => {
  it("is a number or none", () => {
    expect(["1", "-2.5", "0,0625", "−1", ".5", "-0", " 7 "].map(parseEntry)).toEqual([
      1, -2.5, 0.0625, -1, 0.5, 0, 7,
    ]);
    expect(["", "-", "1e3", "two", "1234567", "1.2.3"].map(parseEntry)).toEqual(
      Array(6).fill(null),
    );
    expect(["0", "12", "9999"].map(parseCount)).toEqual([0, 12, 9999]);
    expect(["", "-1", "1.5", "10000"].map(parseCount)).toEqual(Array(4).fill(null));
    expect([0.0625, -0, 1 / 3].map(entryText)).toEqual(["0.0625", "0", "0.333333"]);
  });

  it("is recognised as a preset", () => {
    const presets = [{ name: "identity", kernel: [[0, 0, 0], [0, 1, 0], [0, 0, 0]] }]; // prettier-ignore
    expect(nameOf([0, 0, 0, 0, 1, 0, 0, 0, 0], presets)).toBe("identity");
    expect(nameOf([0, 0, 0, 0, 2, 0, 0, 0, 0], presets)).toBeNull();
    expect(rowsOf([1, 2, 3, 4])).toEqual([[1, 2], [3, 4]]); // prettier-ignore
  });

  it("names the settings of an error", () => {
    expect([...settingsNamedIn("stride=0: give a whole number, 1 or more")]).toEqual(["stride"]);
    expect([...settingsNamedIn("a kernel of 3 with dilation 9 covers 19 pixels")]).toEqual([
      "kernel",
      "dilation",
    ]);
  });
});

describe("the kernel", () => {
  it("moves to the pointer, and stays inside the image", () => {
    const plainly = { stride: 1, padding: 0, dilation: 1 };
    expect(outputAround([1, 1], plainly, [4, 4])).toEqual([0, 0]);
    expect(outputAround([3, 2], plainly, [4, 4])).toEqual([2, 1]);
    expect(outputAround([0, 5], plainly, [4, 4])).toEqual([0, 3]);
    expect(outputAround([4, 0], { stride: 2, padding: 1, dilation: 1 }, [3, 3])).toEqual([2, 0]);
    expect(outputAround([4, 4], { stride: 0, padding: 0, dilation: 1 }, [0, 0])).toEqual([0, 0]);
  });

  it("is in the middle of the window of numbers, except at the borders", () => {
    expect([0, 4, 10, 27].map((at) => windowStart(at, 9, 28))).toEqual([0, 0, 6, 19]);
    expect(windowStart(2, 9, 6)).toBe(0);
  });
});

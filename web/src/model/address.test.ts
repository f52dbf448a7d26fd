import { describe, expect, it } from "vitest";
import { above, format, misread, parse, START, type Place } from "./address";

const place: Place = {
  view: "number",
  image: "data-12",
  layer: "blocks.1 add#2",
  unit: 3,
  at: [10, 12],
  tab: 2,
  scale: "layer",
  order: "activity",
  target: 7,
  off: [
    ["a,b:c", 4],
    ["<img>", 0],
  ],
  kernel: "1,0,-1",
  way: "12_7-3-2",
  more: "4,-3",
};

describe("the address", () => {
  it("gives the place back", () => {
    expect(parse(format(place))).toEqual(place);
    expect(parse(format(START))).toEqual(START);
    expect(format(START)).toBe("");
  });

  it("takes what it does not understand for the start", () => {
    const broken = "?view=moon&unit=-1&at=1,x&tab=1e9&scale=&order=best&target=&off={}&off=[";
    expect(parse(broken)).toEqual(START);
    expect(parse('?off=[["a",1],["b"],3,["c",1.5],["d","2"]]').off).toEqual([["a", 1]]);
  });

  it("names what it does not understand", () => {
    expect(misread("?view=moon&unit=-1&at=foo&target=77x&off=broken")).toEqual([
      "view=moon",
      "unit=-1",
      "at=foo",
      "target=77x",
      "off=broken",
    ]);
    expect(misread(format(place))).toEqual([]);
    expect(misread("?view=network&unit=0&at=0,0&scale=unit&order=index&off=[]&image=")).toEqual([]);
  });

  it("leads one level up, and keeps the cursor", () => {
    const channel = above(place);
    expect(channel).toEqual({ ...place, view: "channel", more: null });
    expect(above(channel).view).toBe("layer");
    expect(above(above(channel)).view).toBe("network");
    expect(above({ ...place, view: "classifier" }).view).toBe("network");
  });
});

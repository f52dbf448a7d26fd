import { describe, expect, it } from "vitest";
import { Addresses, NO_PARAMETERS, wholeNumber, type Place, type ViewAddress } from "./address";

const plain = (
  name: "network" | "layer" | "channel",
  parent: "network" | "layer",
): ViewAddress => ({
  name,
  parent,
  parameters: NO_PARAMETERS,
});
const number: ViewAddress<"number"> = {
  name: "number",
  parent: "channel",
  alwaysPosition: true,
  parameters: {
    defaults: { inputChannel: null },
    parse: (query) => ({ inputChannel: wholeNumber(query.get("tab")) }),
    format: ({ inputChannel }) => ({ tab: inputChannel === null ? "" : String(inputChannel) }),
  },
};
const pathways: ViewAddress<"pathways"> = {
  name: "pathways",
  parent: "network",
  keep: "image",
  parameters: {
    defaults: { contrast: null },
    parse: (query) => ({ contrast: wholeNumber(query.get("contrast")) }),
    format: ({ contrast }) => ({ contrast: contrast === null ? "" : String(contrast) }),
  },
};
const atlas: ViewAddress<"atlas"> = {
  name: "atlas",
  parent: "layer",
  parameters: {
    defaults: { unit: "strongest" },
    parse: (query) => ({ unit: query.get("position") === "here" ? "chosen" : "strongest" }),
    format: ({ unit }) => ({ position: unit }),
  },
};
const addresses = new Addresses([
  plain("network", "network"),
  plain("layer", "network"),
  plain("channel", "layer"),
  number,
  pathways,
  atlas,
]);

const place: Place = {
  view: "number",
  image: "data-12",
  layer: "blocks.1 add#2",
  unit: 3,
  at: [10, 12],
  scale: "layer",
  order: "activity",
  target: 7,
  off: [
    ["a,b:c", 4],
    ["<img>", 0],
  ],
  own: { inputChannel: 2 },
};

describe("the address", () => {
  it("is parsed to the same place", () => {
    expect(addresses.parse(addresses.format(place))).toEqual(place);
    expect(addresses.parse(addresses.format(addresses.start))).toEqual(addresses.start);
    expect(addresses.format(addresses.start)).toBe("");
  });

  it("also contains the first position of a number", () => {
    const first: Place = { ...addresses.start, view: "number", own: { inputChannel: null } };
    expect(addresses.format(first)).toBe("?view=number&at=0%2C0");
  });

  it("has defaults for what is not understood", () => {
    const broken = "?view=moon&unit=-1&at=1,x&tab=1e9&scale=&order=best&target=&off={}&off=[";
    expect(addresses.parse(broken)).toEqual(addresses.start);
    expect(addresses.parse("?view=__proto__")).toEqual(addresses.start);
    expect(addresses.parse('?off=[["a",1],["b"],3,["c",1.5],["d","2"]]').off).toEqual([["a", 1]]);
  });

  it("reports what is not understood", () => {
    expect(addresses.unknown("?view=moon&unit=-1&at=foo&target=77x&off=broken")).toEqual([
      "view=moon",
      "unit=-1",
      "at=foo",
      "target=77x",
      "off=broken",
    ]);
    expect(addresses.unknown("?view=number&tab=x")).toEqual(["tab=x"]);
    expect(addresses.unknown(addresses.format(place))).toEqual([]);
    const start = "?view=network&unit=0&at=0,0&scale=unit&order=index&off=[]&image=";
    expect(addresses.unknown(start)).toEqual([]);
  });

  it("of earlier versions still opens", () => {
    const card = addresses.parse("?view=card&layer=a&more=here");
    expect([card.view, card.own]).toEqual(["atlas", { unit: "chosen" }]);
    expect(addresses.parse("?view=pathways&more=4").own).toEqual({ contrast: 4 });
    expect(addresses.unknown("?view=card&more=here")).toEqual([]);
  });

  it("one level up keeps the cursor", () => {
    const channel = addresses.parent(place);
    expect(channel).toEqual({ ...place, view: "channel", own: {} });
    expect(addresses.parent(channel).view).toBe("layer");
    expect(addresses.parent(addresses.parent(channel)).view).toBe("network");
  });
});

describe("a view's own parameters", () => {
  it("are kept while the view shows the same layer", () => {
    expect(addresses.change(place, { unit: 4 }).own).toEqual({ inputChannel: 2 });
    expect(addresses.change(place, { layer: "other" }).own).toEqual({ inputChannel: null });
    expect(addresses.change(place, { view: "channel" }).own).toEqual({});
  });

  it("are kept for another image, unless `keep` is image", () => {
    expect(addresses.change(place, { image: "data-1" }).own).toEqual({ inputChannel: 2 });
    const compared = addresses.change(place, { view: "pathways", own: { contrast: 3 } });
    expect(compared.own).toEqual({ contrast: 3 });
    expect(addresses.change(compared, { target: 1 }).own).toEqual({ contrast: 3 });
    expect(addresses.change(compared, { image: "data-1" }).own).toEqual({ contrast: null });
  });

  it("are the remembered ones after another view", () => {
    expect(addresses.change(place, { view: "pathways" }, { contrast: 5 }).own).toEqual({
      contrast: 5,
    });
  });
});

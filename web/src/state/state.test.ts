// @vitest-environment happy-dom
// A value is only shown with the name that it belongs to, also while answers are loading.
import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { text } from "../model/numbers";
import { valuesOf } from "../source/example";
import { FakeSource } from "../source/fake";
import { addressSays, click, mainText, open, popTo, press, says } from "../testing";

const NUMBERS = /−?\d+\.\d{3,}(?:e−?\d+)?/g;
const numbers = (): Set<string> => new Set(mainText().match(NUMBERS));
const panel = (): HTMLElement => {
  const found = document.querySelector("aside");
  if (!(found instanceof HTMLElement)) throw new Error("there is no panel");
  return found;
};

/** Waits until nothing is loading and at least so many numbers are shown. */
const settled = (least = 1): Promise<void> =>
  waitFor(() => {
    expect(document.querySelector("main [aria-busy=true]")).toBeNull();
    expect(mainText()).not.toContain("…");
    expect(numbers().size).toBeGreaterThanOrEqual(least);
  });

const common = (one: Set<string>, other: Set<string>): string[] =>
  [...one].filter((number) => other.has(number));

describe("another channel", () => {
  it.each([
    ["conv", 6],
    ["pool", 3],
    ["fc", 1],
  ])("of %s shows no value until its own has arrived", async (layer, least) => {
    const { source } = await open(`view=channel&layer=${layer}&unit=1&at=1,1&image=data-3`);
    await settled(least);
    const before = numbers();
    source.hold();
    await press("]");
    await waitFor(() =>
      expect(screen.getByRole("heading", { level: 1 }).textContent).toMatch(/(channel|unit)\s+2/),
    );
    // Weights and the range of the layer do not depend on the channel, so they may stay.
    const pass = { image: "data-3", target: null, off: [] };
    const { lows, highs, means } = valuesOf(pass, layer);
    const own = [lows[1], highs[1], means[1]].map((value) => text(value));
    expect(common(before, numbers()).filter((number) => own.includes(number))).toEqual([]);
    expect(mainText()).toContain("…");
    source.release();
    await settled(least);
    expect([...numbers()].filter((number) => !before.has(number))).not.toEqual([]);
  });
});

const PLACES: readonly (readonly [string, number])[] = [
  ["view=network", 0],
  ["view=layer&layer=conv&unit=2", 3],
  ["view=layer&layer=flatten", 3],
  ["view=layer&layer=fc", 2],
  ["view=channel&layer=conv&unit=1&at=3,4", 3],
  ["view=channel&layer=fc&unit=1", 1],
  ["view=number&layer=conv&unit=1&at=3,4&tab=1", 3],
  ["view=classifier", 3],
];
const CONSTANT = new Set(["0.125", "0.5", "0.25", "0.500", "0.250", "1.500"]);

describe("another image", () => {
  it.each(PLACES)("at %s shows no value until its own has arrived", async (place, least) => {
    const { source } = await open(`${place}&image=data-3`);
    await settled(least);
    await waitFor(() => expect(panel().querySelector("ol.bars")).not.toBeNull());
    const before = numbers();
    source.hold();
    await popTo(`${place}&image=data-4`);
    await waitFor(() => expect(panel().querySelector("img")?.src).toContain("data-4"));
    expect(common(before, numbers()).filter((number) => !CONSTANT.has(number))).toEqual([]);
    expect(panel().querySelector("ol.bars")).toBeNull();
    source.release();
    await settled(least);
    await waitFor(() => expect(panel().querySelector("ol.bars")).not.toBeNull());
  });
});

describe("the pass", () => {
  it("has its probabilities together with its switched-off units", async () => {
    const { source } = await open("view=layer&layer=relu&unit=3&image=data-3");
    await screen.findAllByRole("option");
    const bars = (): HTMLElement | null => panel().querySelector("ol.bars");
    await waitFor(() => expect(bars()).not.toBeNull());
    const before = bars()?.textContent;
    screen.getByRole("listbox").focus();
    source.hold();
    await press("o");
    await addressSays('off=[["relu",3]]');
    expect(bars()?.textContent).toBe(before);
    expect(bars()?.parentElement?.getAttribute("aria-busy")).toBe("true");
    expect(panel().textContent).not.toContain("switched off");
    source.release();
    await waitFor(() => expect(panel().textContent).toMatch(/1\s+unit is switched off/));
    expect(bars()?.textContent).not.toBe(before);
    expect(document.activeElement?.role).toBe("listbox"); // nothing was taken away
  });

  it.each(["layer&layer=pool", "channel&layer=pool", "number&layer=pool", "classifier", "network"])(
    "is requested before everything else of an image in view=%s",
    async (view) => {
      const { source } = await open("view=layer&layer=conv&image=data-3");
      await settled();
      source.hold("pass");
      source.requests.length = 0;
      await popTo(`view=${view}&image=data-4`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const constant = ["layerDetail", "kernels"];
      expect(source.requests.filter((one) => !constant.includes(one))).toEqual(["pass"]);
      source.release();
      await waitFor(() => expect(panel().querySelector("ol.bars")).not.toBeNull());
    },
  );

  it("that fails shows a message, and the network view still works", async () => {
    const source = new FakeSource();
    source.failing.add("pass");
    await open("view=classifier", source);
    await says("There is nothing to show for this address.");
    await click("Go to the start page");
    await says("6,789 parameters");
  });
});

const FAILING: readonly (readonly [string, string, string])[] = [
  ["pass", "view=network", "aside ol.bars"],
  ["values", "view=layer&layer=fc", "main .reading .number"],
  ["layerDetail", "view=channel&layer=conv&unit=1", "[data-map='conv']"],
  ["kernels", "view=channel&layer=conv&unit=1", "svg rect"],
  ["number", "view=number&layer=pool&at=1,1", "[data-testid='value']"],
  ["maps", "view=layer&layer=conv", "main canvas:not(.waiting)"],
];

describe("a retry", () => {
  it.each(FAILING)("works after %s failed", async (name, address, there) => {
    const source = new FakeSource();
    source.failing.add(name);
    await open(`${address}&image=data-3`, source);
    const alert = (): HTMLElement | null => screen.queryByRole("alert");
    await waitFor(() => expect(alert()?.textContent).toContain("it went wrong"));
    await click("Try again");
    await waitFor(() => expect(alert()?.textContent).toContain("it went wrong"));
    source.failing.clear();
    await click("Try again");
    await waitFor(() => expect(document.querySelector(there)).not.toBeNull());
    await waitFor(() => expect(alert()).toBeNull());
  });

  it("works after the network failed to load", async () => {
    const source = new FakeSource();
    source.failing.add("subject");
    const opening = open("", source);
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("it went wrong"));
    source.failing.clear();
    await click("Try again");
    await opening;
    await says("6,789 parameters");
  });
});

describe("a file", () => {
  it("that is too large is refused before the upload", async () => {
    const { explorer, source } = await open("");
    await explorer.uploads.open(new File([new Uint8Array(1001)], "large.png"));
    await waitFor(() =>
      expect(screen.getByRole("alert").textContent).toContain(
        "large.png is over the limit of 1,000 bytes.",
      ),
    );
    expect(source.requests).not.toContain("upload");
  });

  it("is opened, and the error of the last one is removed", async () => {
    const { explorer, source } = await open("view=network&target=2");
    source.failing.add("upload");
    await explorer.uploads.open(new File(["x"], "bad.png"));
    await waitFor(() =>
      expect(screen.getByRole("alert").textContent).toContain("bad.png: it went wrong"),
    );
    source.failing.clear();
    await explorer.uploads.open(new File(["x"], "good.png"));
    await addressSays("image=drop-1");
    expect(location.search).not.toContain("target");
    await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
  });
});

describe("an address", () => {
  it("with unknown parts is reported", async () => {
    await open("view=moon&target=77x");
    expect(screen.getByRole("status").textContent).toContain(
      "The address contains view=moon, target=77x, which this page does not know",
    );
    await click("Dismiss");
    await waitFor(() => expect(screen.queryByText(/does not know/)).toBeNull());
  });

  it("of earlier versions still opens", async () => {
    const { explorer } = await open("view=number&layer=conv&at=1,1");
    expect(explorer.view.title).toBe("Number");
    await popTo("view=pathways&more=3&image=data-3");
    expect(explorer.navigation.own("pathways")).toEqual({ contrast: 3 });
  });

  it("of the kernel view is restored with the view", async () => {
    const { explorer } = await open("view=network");
    explorer.navigation.go({ view: "kernel", own: { stride: 2 } });
    explorer.navigation.go({ view: "network" });
    expect(location.search).not.toContain("kernel");
    explorer.navigation.go({ view: "kernel" });
    expect(explorer.navigation.own("kernel").stride).toBe(2);
  });
});

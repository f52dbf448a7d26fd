// @vitest-environment happy-dom
import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { FakeSource } from "../../source/fake";
import { addressSays, click, mainText, open, press, says } from "../../testing";
import type { AtlasAnswer, AtlasEntry, UnitProjection } from "./requests";

const entryOf = (layer: string, channel: number): AtlasEntry => ({
  channel: {
    layer,
    channel,
    dead: false,
    active: 0.5,
    mean: 1,
    maximum: 2,
    selectivity: 0.5,
    class: "bee",
    top: [{ path: "bee/4.png", value: 2, position: [2, 5], crop: [0, 0, 3, 3] }],
  },
  data: "images",
  split: "test",
  images: 30,
  exact: true,
  classes: [{ name: "bee", mean: 1, images: 3 }],
  top: [{ image: "data-4", label: "bee", largest: 1, colour_limit: 1 }],
});

function answerOf(query: Record<string, unknown>): AtlasAnswer {
  const [layer, channel] = [String(query["layer"]), Number(query["channel"])];
  if (layer === "relu") {
    const reason = "The atlas has other layers than relu.";
    return { entry: null, reason, command: null, layers: ["conv"] };
  }
  return { entry: entryOf(layer, channel), reason: null, command: null, layers: ["conv"] };
}

function projectionOf(query: Record<string, unknown>): UnitProjection {
  const given = String(query["at"] ?? "1,2").split(",");
  const [row, column] = given.map(Number) as [number, number];
  return {
    layer: String(query["layer"]),
    channel: Number(query["channel"]),
    at: [row, column],
    strongest: [1, 2],
    crop: [0, 1, 3, 4],
    exact: true,
    colour_limit: 1,
    largest: 1,
    value: 0.75,
  };
}

const source = (): FakeSource =>
  new FakeSource({ "/api/atlas": answerOf, "/api/atlas/unit": projectionOf });
const CHOSEN = "view=atlas&layer=conv&unit=2&image=data-3&at=4,3&position=chosen";

describe("the atlas", () => {
  it("lists its layers if a layer is missing", async () => {
    await open("view=atlas&layer=relu&unit=1&image=data-3", source());
    await says("The atlas has other layers than relu.");
    await click("conv");
    await waitFor(() => expect(document.querySelector("[data-rank]")).not.toBeNull());
    expect(location.search).toContain("layer=conv");
  });

  it.each(["fc", "input"])("reports that %s has no channels", async (layer) => {
    await open(`view=atlas&layer=${layer}&image=data-3`, source());
    await says(`${layer} has no channels`);
  });

  it("and the channel view link to each other", async () => {
    await open("view=channel&layer=conv&unit=2&image=data-3", source());
    await click("Atlas");
    await waitFor(() => expect(document.querySelector("[data-rank]")).not.toBeNull());
    expect(screen.getByRole("button", { name: "Atlas" }).getAttribute("aria-current")).toBe("page");
    await click("How it is computed");
    await waitFor(() =>
      expect(document.querySelector("[aria-label='Input channels']")).not.toBeNull(),
    );
  });

  it("opens a top image at its position", async () => {
    await open('view=atlas&layer=conv&unit=2&image=data-3&off=[["conv",1]]', source());
    await click(/^Image 1: bee/);
    await addressSays("view=atlas&image=data-4&layer=conv&unit=2&at=2,5&position=chosen");
    expect(location.search).not.toContain("off=");
  });

  it("shows the strongest position again", async () => {
    await open(CHOSEN, source());
    await says("row 4, column 3");
    await click("Go to the strongest position");
    await says("row 1, column 2");
    expect(location.search).not.toContain("position=");
  });

  it("handles keys on the map while an answer is loading", async () => {
    const held = source();
    await open(CHOSEN, held);
    await says("row 4, column 3");
    held.hold("/api/atlas/unit");
    const map = screen.getByRole("button", { name: /^Map of conv, channel 2/ });
    map.focus();
    for (let step = 0; step < 3; step += 1) await press("ArrowRight");
    await addressSays("at=4,6");
    expect(mainText()).toContain("conv, channel 2");
  });

  it("goes to the next channel by arrow keys outside the map", async () => {
    await open(CHOSEN, source());
    await says("row 4, column 3");
    await press("ArrowRight", document.body);
    await addressSays("unit=3");
    expect(location.search).not.toContain("position=");
    await says("row 1, column 2");
  });

  it("removes the receptive field when the image changes", async () => {
    const held = source();
    const { explorer } = await open(CHOSEN, held);
    const field = (): Element | null => document.querySelector("aside svg rect");
    await waitFor(() => expect(field()).not.toBeNull());
    held.hold("/api/atlas/unit");
    explorer.setImage("data-4");
    await waitFor(() => expect(field()).toBeNull());
    await screen.findByRole("button", { name: "Switch this channel off" });
  });
});

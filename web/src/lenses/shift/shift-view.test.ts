// @vitest-environment happy-dom
import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { FakeSource } from "../../source/fake";
import { addressSays, click, mainText, open, press } from "../../testing";
import type { ShiftMap, ShiftOverview, ShiftPredictions, ShiftRun } from "./requests";

const STUDY: ShiftRun = {
  run: "example",
  network: "example",
  data: "images",
  split: "test",
  weights: null,
  border: "zero",
  n: 30,
  max_shift: 1,
  protocol: "",
  accuracy_unshifted: 0.75,
  accuracy_grid: [
    [0.5, 0.5, 0.5],
    [0.5, 0.75, 0.5],
    [0.5, 0.5, 0.5],
  ],
  accuracy_shifted: 0.5,
  accuracy_shifted_interval: [0.4, 0.6],
  consistency: 0.625,
  consistency_interval: [0.5, 0.75],
  one_pixel: {
    changed: 0.25,
    changed_interval: [0.125, 0.375],
    moved: 0.1,
    moved_interval: [0, 0.2],
    gained: 0,
    gained_interval: [-0.1, 0.1],
  },
  path: [],
  layers: [],
  fit: {
    parameters: 6789,
    seconds_per_epoch: null,
    test_accuracy: 0.75,
    test_accuracy_interval: [0.6, 0.9],
    first_convolution: null,
    gap: -0.0625,
    gap_interval: [-0.125, 0.25],
  },
};
const OVERVIEW: ShiftOverview = {
  borders: { zero: "black", edge: "", reflect: "", wrap: "" },
  command: null,
  largest_shift: 7,
  runs: ["example"],
  study: [STUDY],
};
const predictionsOf = (query: Record<string, unknown>): ShiftPredictions => ({
  border: query["border"] as ShiftPredictions["border"],
  dx: Number(query["dx"]),
  dy: Number(query["dy"]),
  labelled: true,
  predictions: [
    {
      run: "example",
      predicted: 1,
      predicted_unshifted: 1,
      probabilities: [0.1, 0.6, 0.1, 0.1, 0.1],
      probability: 0.6,
      target: 1,
      target_probability: 0.6,
      target_probability_unshifted: 0.7,
    },
  ],
});
const MAP: ShiftMap = {
  run: "example",
  border: "zero",
  target: 1,
  predicted_unshifted: 1,
  predicted: [
    [1, 1, 1],
    [1, 1, 0],
    [1, 1, 1],
  ],
  target_probability: [
    [0.5, 0.5, 0.5],
    [0.5, 0.6, 0.2],
    [0.5, 0.5, 0.5],
  ],
  max_shift: 1,
  same_class: 8 / 9,
  step: 1,
};
const source = (): FakeSource =>
  new FakeSource({
    "/api/shift": () => OVERVIEW,
    "/api/shift/predictions": predictionsOf,
    "/api/shift/map": () => MAP,
  });

const stage = (): Promise<HTMLElement> => screen.findByRole("button", { name: /^The image, / });
const shiftShown = (words: string): Promise<void> =>
  waitFor(() => expect(screen.getByTestId("shift").textContent).toBe(words));
const heatMap = (): Promise<HTMLElement> => screen.findByRole("button", { name: /at every shift/ });

describe("the shift view", () => {
  it("shifts the image by keys, and resets the shift", async () => {
    await open("view=shift&image=data-3", source());
    const image = await stage();
    image.focus();
    await press("ArrowRight");
    await shiftShown("1 right");
    await addressSays("shift=1,0,zero");
    await press("Home");
    await shiftShown("not shifted");
    expect(location.search).not.toContain("shift=1");
  });

  it("shifts the image to a cell of the map, by keys", async () => {
    await open("view=shift&image=data-3", source());
    await waitFor(() => expect(document.querySelector("figure[data-map] circle")).not.toBeNull());
    expect(document.querySelectorAll("figure[data-map] circle")).toHaveLength(1);
    await press("ArrowRight", await heatMap());
    await shiftShown("1 right");
    expect(document.querySelector(".reading")?.textContent).toContain("ant");
  });

  it("keeps the shift while the map is loading", async () => {
    const held = source();
    held.hold("/api/shift/map");
    await open("view=shift&image=data-3&shift=3,-2,zero", held);
    await shiftShown("3 right, 2 up");
    const map = await heatMap();
    map.click();
    await press("ArrowRight", map);
    await addressSays("shift=3,-2,zero");
  });

  it("shows the study of many images", async () => {
    await open("view=shift&image=data-3", source());
    await waitFor(() => expect(mainText()).toContain("62.5 % (50.0 to 75.0)"));
    expect(mainText()).toContain("−6.3 (−12.5 to 25.0)");
  });

  it("retries a failed request, and removes its error", async () => {
    const failing = source();
    await open("view=shift&image=data-3", failing);
    await waitFor(() => expect(document.querySelector("section[data-run]")).not.toBeNull());
    failing.failing.add("/api/shift/predictions");
    await press("ArrowRight", await stage());
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("it went wrong"));
    await press("ArrowRight", await stage());
    failing.failing.clear();
    await click("Try again");
    await shiftShown("2 right");
    await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
    failing.failing.add("/api/shift/predictions");
    await press("ArrowRight", await stage());
    await waitFor(() => expect(screen.queryByRole("alert")).not.toBeNull());
    await click("Network");
    await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
  });
});

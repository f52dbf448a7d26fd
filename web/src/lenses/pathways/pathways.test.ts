// @vitest-environment happy-dom
import { screen, waitFor } from "@testing-library/svelte";
import { tick } from "svelte";
import { describe, expect, it } from "vitest";
import { text } from "../../model/numbers";
import { FakeSource } from "../../source/fake";
import { addressSays, click, open, popTo, press, says } from "../../testing";
import type { PathwayLayer, Pathways, PathwayUnit, Proof } from "./requests";

const layer = (name: string, shape: number[]): PathwayLayer => ({
  layer: name,
  shape,
  role: "last maps",
  contributions: 1.5,
  bias_share: 0.5,
  biases: {},
  residue: 0,
  identity_holds: true,
  not_piecewise_linear: [],
  sums: [1.5, -0.5],
  bias_shares: [0.5, 0.5],
  residues: [0, 0],
  drawn: [3],
  drawn_sums: [1.5, -0.5],
  others: 3,
  other_sums: [0, 0],
  no_proof_reason: null,
});

const unit = (name: string): PathwayUnit => ({
  layer: name,
  unit: 3,
  activation: 1,
  contribution: 1.5,
  contrast_contribution: -0.5,
});

const proof: Proof = {
  layer: "pool",
  by: "channels",
  active: 4,
  switched: [[3]],
  claimed: 1,
  drop: 1,
  contrast_drop: 0,
  activation_drop: 0.5,
  activation_contrast_drop: 0,
  random_drops: [0.1, 0.2],
  random_contrast_drops: [0, 0],
  random_counts: [1, 1],
  random_mean: 0.15,
  random_std: 0.05,
  specific: 1,
  beats_random: true,
  beats_activation: true,
  better: true,
  verdict: "more than every random set",
};

function pathwaysOf(query: Record<string, unknown>): Pathways {
  const target = Number(query["target"] ?? 1);
  const contrast = Number(query["contrast"] ?? 2);
  return {
    image: "3.png",
    target: `class ${target}`,
    contrast: `class ${contrast}`,
    predicted: "class 1",
    classes: [target, contrast],
    predicted_class: 1,
    logit: target + 0.5,
    contrast_logit: contrast + 0.25,
    probabilities: [0.5, 0.25],
    bias_share: 0.5,
    residue: 0,
    identity_holds: true,
    units: [unit("pool"), unit("flatten")],
    edges: [[0.25]],
    ablated_drop: 1,
    random_drop_mean: 0.15,
    random_drop_std: 0.05,
    activation_drop: 0.5,
    contrast_drop: 0,
    layers: [layer("pool", [4, 4, 4]), layer("flatten", [64])],
    proofs: [proof],
    notes: [],
  };
}

const source = (): FakeSource =>
  new FakeSource({
    "/api/pathways": pathwaysOf,
    "/api/shift/predictions": () => ({
      border: "zero",
      dx: 0,
      dy: 0,
      labelled: true,
      predictions: [],
    }),
    "/api/shift": () => ({ borders: {}, command: null, largest_shift: 7, runs: [], study: [] }),
  });

async function choose(label: string, value: string): Promise<HTMLSelectElement> {
  const select = (await screen.findByLabelText(label)) as HTMLSelectElement;
  select.focus();
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await tick();
  return select;
}

describe("pathways", () => {
  it("have lists of classes, which keep the focus", async () => {
    await open("view=pathways&target=1&contrast=3&image=data-3", source());
    await waitFor(() => expect(document.querySelector("[data-proof]")).not.toBeNull());
    const select = await choose("contrast", "4");
    await addressSays("contrast=4");
    await waitFor(() => expect(screen.getAllByTestId("logit")[1]?.textContent).toBe(text(4.25)));
    expect(document.activeElement).toBe(select);
    await press("Escape", document.body);
    await waitFor(() => expect(location.search).not.toContain("view="));
  });

  it("have a contrast class, which is not kept for another image", async () => {
    const { explorer } = await open("view=pathways&target=1&contrast=3&image=data-3", source());
    await screen.findByLabelText("contrast");
    await click("Shift");
    await says("not shifted");
    await popTo("view=pathways&target=1&contrast=3&image=data-3");
    await screen.findByLabelText("contrast");
    explorer.setImage("data-4");
    await addressSays("image=data-4");
    expect(location.search).not.toContain("contrast");
  });

  it("report a failure, and can be retried", async () => {
    const failing = source();
    failing.failing.add("/api/pathways");
    await open("view=pathways&image=data-3", failing);
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("it went wrong"));
    failing.failing.clear();
    await click("Try again");
    await says("more than every random set");
  });

  it("switch a unit off by a click and by a key", async () => {
    await open("view=pathways&target=1&contrast=3&image=data-3", source());
    const unit = await screen.findByRole("button", {
      name: /^unit 3 .*: contribution to bee, in flatten/,
    });
    unit.click();
    await addressSays('off=[["flatten",3]]');
    await waitFor(() => expect(screen.getAllByTestId("now")).toHaveLength(2));
    expect(unit.getAttribute("aria-pressed")).toBe("true");
    unit.focus();
    await press("o");
    await waitFor(() => expect(screen.queryByTestId("now")).toBeNull());
  });
});

// @vitest-environment happy-dom
import { screen, waitFor } from "@testing-library/svelte";
import { tick } from "svelte";
import { describe, expect, it } from "vitest";
import { text } from "../../model/numbers";
import { FakeSource } from "../../source/fake";
import { addressSays, click, open, popTo, press, says } from "../../testing";
import type { PathwayLayer, Pathways, Proof } from "./requests";

const layer = (name: string, shape: number[]): PathwayLayer => ({
  name,
  shape,
  role: "last maps",
  units: [{ unit: 3, activation: 1, contribution: [1.5, -0.5] }],
  bias_share: [0.5, 0.5],
  carried: [1.5, -0.5],
  curved: [],
  drawn: [1.5, -0.5],
  hidden: 3,
  holds: true,
  others: [0, 0],
  residue: [0, 0],
  silence: "",
});

function pathwaysOf(query: Record<string, unknown>): Pathways {
  const target = Number(query["target"] ?? 1);
  const contrast = Number(query["contrast"] ?? 2);
  return {
    target,
    contrast,
    predicted: 1,
    edges: [[0.25]],
    layers: [layer("pool", [4, 4, 4]), layer("flatten", [64])],
    logits: [target + 0.5, contrast + 0.25],
    probabilities: [0.5, 0.25],
    notes: [],
  };
}

const proofOf = (): Proof[] => [
  {
    layer: "pool",
    by: "channels",
    active: 4,
    better: true,
    claimed: 1,
    specific: 1,
    drops: [{ name: "the pathway", target: 1, contrast: 0, units: 1 }],
    random: [{ name: "random", target: 0.1, contrast: 0, units: 1 }],
    random_mean: 0.1,
    random_std: 0.05,
    switched: [[3]],
    verdict: "more than every random set",
  },
];

const source = (): FakeSource =>
  new FakeSource({
    "/api/pathways": pathwaysOf,
    "/api/pathways/proof": proofOf,
    "/api/moved": () => ({ border: "zero", dx: 0, dy: 0, labelled: true, said: [] }),
    "/api/laboratory": () => ({ borders: {}, command: null, furthest: 7, runs: [], study: [] }),
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
  it("of other classes are chosen from lists, which keep the focus", async () => {
    await open("view=pathways&target=1&contrast=3&image=data-3", source());
    await waitFor(() => expect(document.querySelector("[data-proof]")).not.toBeNull());
    const select = await choose("contrast", "4");
    await addressSays("contrast=4");
    await waitFor(() => expect(screen.getAllByTestId("logit")[1]?.textContent).toBe(text(4.25)));
    expect(document.activeElement).toBe(select);
    await press("Escape", document.body);
    await waitFor(() => expect(location.search).not.toContain("view="));
  });

  it("have a class to compare with that is no shift, and not the next image's", async () => {
    const { explorer } = await open("view=pathways&target=1&contrast=3&image=data-3", source());
    await screen.findByLabelText("contrast");
    await click("Shift");
    await says("where it stands");
    await popTo("view=pathways&target=1&contrast=3&image=data-3");
    await screen.findByLabelText("contrast");
    explorer.setImage("data-4");
    await addressSays("image=data-4");
    expect(location.search).not.toContain("contrast");
  });

  it("wait for the proof, and say why it failed", async () => {
    const failing = source();
    failing.failing.add("/api/pathways/proof");
    await open("view=pathways&image=data-3", failing);
    await says("Switching units off…");
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("it went wrong"));
    failing.failing.clear();
    await click("Try again");
    await says("more than every random set");
  });

  it("switch a unit off by a click and by a key", async () => {
    await open("view=pathways&target=1&contrast=3&image=data-3", source());
    const unit = await screen.findByRole("button", { name: /^unit 3 .*: given to bee/ });
    unit.click();
    await addressSays('off=[["flatten",3]]');
    await waitFor(() => expect(screen.getAllByTestId("now")).toHaveLength(2));
    expect(unit.getAttribute("aria-pressed")).toBe("true");
    unit.focus();
    await press("o");
    await waitFor(() => expect(screen.queryByTestId("now")).toBeNull());
  });
});

// @vitest-environment happy-dom
import { screen, waitFor } from "@testing-library/svelte";
import { tick } from "svelte";
import { describe, expect, it } from "vitest";
import { FakeSource } from "../../source/fake";
import { addressSays, click, mainText, open, says } from "../../testing";
import type { KernelResult } from "./requests";

const OUTLINE = [-1, -1, -1, -1, 8, -1, -1, -1, -1];

/** The input is constant 1, so the output is the sum of the kernel. */
function filteredBy(query: Record<string, unknown>): KernelResult {
  const sum = (query["kernel"] as number[][]).flat().reduce((all, one) => all + one, 0);
  return {
    input: [
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ],
    output: [[sum]],
    low: sum,
    high: sum,
    lost: [0, 0],
    formulas: ["rows", "columns"],
    cell: {
      at: [0, 0],
      rows: [0, 1, 2],
      columns: [0, 1, 2],
      outside: [[false]],
      pixels: [[1]],
      products: [[1]],
      sum,
    },
  };
}

const source = (): FakeSource =>
  new FakeSource({
    "/api/kernel": filteredBy,
    "/api/kernel/presets": () => [
      { name: "outline", kernel: [OUTLINE.slice(0, 3), OUTLINE.slice(3, 6), OUTLINE.slice(6)] },
    ],
    "/api/kernel/output-size": () => ({ error: null, formula: "a formula", lost: 0, size: 5 }),
  });

async function fill(label: string, value: string): Promise<HTMLInputElement> {
  const input = (await screen.findByLabelText(label)) as HTMLInputElement;
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
  await tick();
  return input;
}

describe("the kernel view", () => {
  it("has no image panel, and needs no image", async () => {
    const failing = source();
    failing.failing.add("pass");
    await open("view=kernel&kernel=x", failing);
    await says("A kernel slides over 36 numbers");
    expect(document.querySelector("aside")).toBeNull();
  });

  it("uses the weights of a preset", async () => {
    await open("view=kernel&kernel=x", source());
    await screen.findByRole("option", { name: "outline" });
    await fill("preset", "outline");
    await addressSays(`kernel=k${OUTLINE.join("_")}*x`);
    expect(await screen.findByLabelText("row 1, column 1")).toHaveProperty("value", "8");
  });

  it.each(["/api/kernel", "/api/kernel/presets"])("tries again when %s failed", async (route) => {
    const failing = source();
    failing.failing.add(route);
    await open("view=kernel&kernel=x", failing);
    await waitFor(() =>
      expect(screen.getAllByRole("alert")[0]?.textContent).toContain("it went wrong"),
    );
    failing.failing.clear();
    await click("Try again");
    await screen.findByTestId("sum");
    await screen.findByRole("option", { name: "outline" });
    await waitFor(() => expect(mainText()).not.toContain("Loading the image…"));
    expect(screen.queryByRole("alert")).toBeNull();
  });
});

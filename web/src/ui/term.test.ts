// @vitest-environment happy-dom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { beforeEach, describe, expect, it } from "vitest";
import { definition } from "../model/glossary";
import "../testing";
import Term from "./Term.svelte";

describe("a term", () => {
  let term: HTMLElement;
  beforeEach(() => {
    render(Term, { name: "stride" });
    term = screen.getByRole("button", { name: "stride" });
  });
  const shown = (): string | undefined => screen.queryByRole("tooltip")?.textContent?.trim();

  it("shows its definition on focus; Esc only hides it", async () => {
    expect(shown()).toBeUndefined();
    await fireEvent.focus(term);
    expect(shown()).toBe(`stride ${definition("stride")}`);
    expect(term.getAttribute("aria-describedby")).toBe(screen.getByRole("tooltip").id);
    let left = false;
    const leave = (): boolean => (left = true);
    window.addEventListener("keydown", leave);
    await fireEvent.keyDown(term, { key: "Escape" });
    expect([shown(), left]).toEqual([undefined, false]);
    await fireEvent.keyDown(term, { key: "Escape" });
    window.removeEventListener("keydown", leave);
    expect(left).toBe(true);
  });

  it("shows it under the pointer, also while the pointer is on the definition", async () => {
    await fireEvent.pointerEnter(term.parentElement as HTMLElement);
    expect(term.parentElement?.contains(screen.getByRole("tooltip"))).toBe(true);
    await fireEvent.pointerLeave(term.parentElement as HTMLElement);
    expect(shown()).toBeUndefined();
  });

  it("shows it on a tap, and hides it on blur", async () => {
    await fireEvent.click(term);
    expect(shown()).toContain("stride");
    await fireEvent.blur(term);
    expect(shown()).toBeUndefined();
  });
});

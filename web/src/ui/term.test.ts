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
  const tooltipText = (): string | undefined => screen.queryByRole("tooltip")?.textContent?.trim();

  it("shows its definition on focus; Esc only hides it", async () => {
    expect(tooltipText()).toBeUndefined();
    await fireEvent.focus(term);
    expect(tooltipText()).toBe(`stride ${definition("stride")}`);
    expect(term.getAttribute("aria-describedby")).toBe(screen.getByRole("tooltip").id);
    let escapeReached = false;
    const leave = (): boolean => (escapeReached = true);
    window.addEventListener("keydown", leave);
    await fireEvent.keyDown(term, { key: "Escape" });
    expect([tooltipText(), escapeReached]).toEqual([undefined, false]);
    await fireEvent.keyDown(term, { key: "Escape" });
    window.removeEventListener("keydown", leave);
    expect(escapeReached).toBe(true);
  });

  it("shows it under the pointer, also while the pointer is on the definition", async () => {
    await fireEvent.pointerEnter(term.parentElement as HTMLElement);
    expect(term.parentElement?.contains(screen.getByRole("tooltip"))).toBe(true);
    await fireEvent.pointerLeave(term.parentElement as HTMLElement);
    expect(tooltipText()).toBeUndefined();
  });

  it("shows it on a tap, and hides it on blur", async () => {
    await fireEvent.click(term);
    expect(tooltipText()).toContain("stride");
    await fireEvent.blur(term);
    expect(tooltipText()).toBeUndefined();
  });
});

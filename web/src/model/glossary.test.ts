import { describe, expect, it } from "vitest";
import { definition, entries } from "./glossary";

const sources = import.meta.glob<string>("../**/*.{svelte,ts}", {
  eager: true,
  query: "?raw",
  import: "default",
});

describe("the glossary", () => {
  it("returns the first paragraph of an entry in one line", () => {
    const text = "# Glossary\n\n## a term\n\nOne\nline.\n\nSource: a paper.\n\n## b\n\nTwo.\n";
    expect([...entries(text)]).toEqual([
      ["a term", "One line."],
      ["b", "Two."],
    ]);
  });

  it("has the terms of the documentation, and no others", () => {
    expect(definition("stride")).toMatch(/^The /);
    expect(() => definition("strid")).toThrow("no term strid");
  });

  it("has every term that the page explains", () => {
    const named = Object.values(sources).flatMap((text) =>
      [...text.matchAll(/<Term name="([^"]+)"/g)].map(([, term]) => term ?? ""),
    );
    expect(named.length).toBeGreaterThan(10);
    for (const term of named) expect(definition(term)).not.toBe("");
  });
});

// The terms of the field and their definitions, from the documentation's glossary.
import page from "../../../docs/glossary.md?raw";

/** The entries of the glossary: the first paragraph below each heading "## term". */
export function entries(text: string): ReadonlyMap<string, string> {
  const [, ...parts] = text.split(/^## /m);
  return new Map(
    parts.map((part) => {
      const [term = "", definition = ""] = part.split("\n\n");
      return [term.trim(), definition.replace(/\s+/g, " ").trim()];
    }),
  );
}

const glossary = entries(page);

/** What a term means.
 *
 * Throws an error for a term that is not in the glossary. */
export function definition(term: string): string {
  const found = glossary.get(term);
  if (!found) throw new Error(`docs/glossary.md has no term ${term}`);
  return found;
}

// The lenses: every folder here with an `index.ts` is one.
import { viewsOf, type View } from "../state/view";

export const lenses: readonly View[] = viewsOf(
  import.meta.glob<{ view: View }>("./*/index.ts", { eager: true }),
);

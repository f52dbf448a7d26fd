// The explorer's own views: every folder here with an `index.ts` is one.
import { viewsOf, type View } from "../state/view";

export const levels: readonly View[] = viewsOf(
  import.meta.glob<{ view: View }>("./*/index.ts", { eager: true }),
);

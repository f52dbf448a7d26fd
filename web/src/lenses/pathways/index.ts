import { wholeNumber } from "../../model/address";
import type { TabView } from "../../state/view";
import Pathways from "./Pathways.svelte";

/** The class to compare with; null: the strongest other one. */
export interface PathwaysParameters {
  readonly contrast: number | null;
}

declare module "../../model/address" {
  interface ViewParameters {
    pathways: PathwaysParameters;
  }
}

export const view: TabView<"pathways"> = {
  name: "pathways",
  title: "Pathways",
  stands: "tab",
  order: 6,
  above: "network",
  // The class to compare with was chosen for one image.
  keep: "image",
  whenUnitsAreOff: "the probabilities above are without, the pathway is that of the whole network.",
  parameters: {
    start: { contrast: null },
    parse: (query) => ({ contrast: wholeNumber(query.get("contrast")) }),
    format: ({ contrast }) => ({ contrast: contrast === null ? "" : String(contrast) }),
  },
  component: Pathways,
};

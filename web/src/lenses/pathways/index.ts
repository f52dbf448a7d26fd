import { wholeNumber } from "../../model/address";
import type { TabView } from "../../state/view";
import Pathways from "./Pathways.svelte";

/** The contrast class; null: the most probable other class. */
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
  kind: "tab",
  order: 6,
  parent: "network",
  // The contrast class was chosen for one image.
  keep: "image",
  whenUnitsAreOff: "this changes the probabilities above, but not the pathway.",
  parameters: {
    defaults: { contrast: null },
    parse: (query) => ({ contrast: wholeNumber(query.get("contrast")) }),
    format: ({ contrast }) => ({ contrast: contrast === null ? "" : String(contrast) }),
  },
  component: Pathways,
};

import type { LayerView } from "../../state/view";
import Atlas from "./Atlas.svelte";

/** The unit that is shown: at the position in the address, or the strongest of the channel in the image. */
export interface AtlasParameters {
  readonly unit: "strongest" | "chosen";
}

declare module "../../model/address" {
  interface ViewParameters {
    atlas: AtlasParameters;
  }
}

export const view: LayerView<"atlas"> = {
  name: "atlas",
  title: "Atlas",
  side: "Atlas",
  kind: "layer",
  order: 3,
  parent: "layer",
  whenUnitsAreOff:
    "this changes what is shown for this image, but not the results for the data set.",
  parameters: {
    defaults: { unit: "strongest" },
    // "here" is what earlier versions wrote.
    parse: (query) => {
      const chosen = ["chosen", "here"].includes(query.get("position") ?? "");
      return { unit: chosen ? "chosen" : "strongest" };
    },
    format: ({ unit }) => ({ position: unit }),
  },
  component: Atlas,
};

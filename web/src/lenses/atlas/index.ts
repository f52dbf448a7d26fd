import type { LayerView } from "../../state/view";
import Atlas from "./Atlas.svelte";

/** Whether the unit at the address' position is shown, or the channel's strongest in the image. */
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
  stands: "layer",
  order: 3,
  above: "layer",
  whenUnitsAreOff: "what is said of this image is without, what is said of the data set is not.",
  parameters: {
    start: { unit: "strongest" },
    // "here" is what earlier versions wrote.
    parse: (query) => {
      const chosen = ["chosen", "here"].includes(query.get("position") ?? "");
      return { unit: chosen ? "chosen" : "strongest" };
    },
    format: ({ unit }) => ({ position: unit }),
  },
  component: Atlas,
};

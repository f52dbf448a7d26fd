import { wholeNumber } from "../../model/address";
import type { LayerView } from "../../state/view";
import Number from "./Number.svelte";

/** `tab` is the input channel whose part of the sum is shown; null: the strongest. */
export interface NumberParameters {
  readonly tab: number | null;
}

declare module "../../model/address" {
  interface ViewParameters {
    number: NumberParameters;
  }
}

export const view: LayerView<"number"> = {
  name: "number",
  title: "Number",
  stands: "layer",
  order: 4,
  above: "channel",
  // A position that was chosen is kept: it does not step on by itself.
  alwaysPosition: true,
  parameters: {
    start: { tab: null },
    parse: (query) => ({ tab: wholeNumber(query.get("tab")) }),
    format: ({ tab }) => ({ tab: tab === null ? "" : String(tab) }),
  },
  component: Number,
};

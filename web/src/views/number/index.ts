import { wholeNumber } from "../../model/address";
import type { LayerView } from "../../state/view";
import Number from "./Number.svelte";

/** The input channel whose products are shown; null: the one with the largest sum. */
export interface NumberParameters {
  readonly inputChannel: number | null;
}

declare module "../../model/address" {
  interface ViewParameters {
    number: NumberParameters;
  }
}

export const view: LayerView<"number"> = {
  name: "number",
  title: "Number",
  kind: "layer",
  order: 4,
  parent: "channel",
  // With a position in the address, the kernel does not start to move by itself.
  alwaysPosition: true,
  parameters: {
    defaults: { inputChannel: null },
    parse: (query) => ({ inputChannel: wholeNumber(query.get("tab")) }),
    format: ({ inputChannel }) => ({ tab: inputChannel === null ? "" : String(inputChannel) }),
  },
  component: Number,
};

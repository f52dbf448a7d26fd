import { NO_PARAMETERS } from "../../model/address";
import type { LayerView } from "../../state/view";
import Layer from "./Layer.svelte";

declare module "../../model/address" {
  interface ViewParameters {
    layer: NoParameters;
  }
}

export const view: LayerView<"layer"> = {
  name: "layer",
  title: "Layer",
  stands: "layer",
  order: 1,
  above: "network",
  parameters: NO_PARAMETERS,
  component: Layer,
};

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
  kind: "layer",
  order: 1,
  parent: "network",
  parameters: NO_PARAMETERS,
  component: Layer,
};

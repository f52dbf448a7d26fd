import { NO_PARAMETERS } from "../../model/address";
import type { LayerView } from "../../state/view";
import Channel from "./Channel.svelte";

declare module "../../model/address" {
  interface ViewParameters {
    channel: NoParameters;
  }
}

export const view: LayerView<"channel"> = {
  name: "channel",
  title: "Channel",
  kind: "layer",
  order: 2,
  parent: "layer",
  parameters: NO_PARAMETERS,
  side: "How it is computed",
  component: Channel,
};

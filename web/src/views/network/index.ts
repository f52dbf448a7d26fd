import { NO_PARAMETERS } from "../../model/address";
import type { TabView } from "../../state/view";
import Network from "./Network.svelte";

declare module "../../model/address" {
  interface ViewParameters {
    network: NoParameters;
  }
}

export const view: TabView<"network"> = {
  name: "network",
  title: "Network",
  kind: "tab",
  order: 0,
  parent: "network",
  parameters: NO_PARAMETERS,
  withoutPass: true,
  component: Network,
};

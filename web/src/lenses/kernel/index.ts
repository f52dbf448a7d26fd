import type { TabView } from "../../state/view";
import Kernel from "./Kernel.svelte";
import { decode, DEFAULTS, encode, type KernelSettings } from "./settings";

declare module "../../model/address" {
  interface ViewParameters {
    kernel: KernelSettings;
  }
}

export const view: TabView<"kernel"> = {
  name: "kernel",
  title: "Kernel",
  kind: "tab",
  order: 8,
  parent: "network",
  keep: "view",
  image: false,
  withoutPass: true,
  parameters: {
    defaults: DEFAULTS,
    parse: (query) => decode(query.get("kernel")),
    format: (settings) => ({ kernel: encode(settings) ?? "" }),
  },
  component: Kernel,
};

import { way, wayText } from "../../model/head";
import type { TabView } from "../../state/view";
import Classifier from "./Classifier.svelte";

/** `way` are the units that are followed back from the logit, each by its index. */
export interface ClassifierParameters {
  readonly way: readonly (readonly number[])[];
}

declare module "../../model/address" {
  interface ViewParameters {
    classifier: ClassifierParameters;
  }
}

export const view: TabView<"classifier"> = {
  name: "classifier",
  title: "Classifier",
  stands: "tab",
  order: 5,
  above: "network",
  keep: "view",
  parameters: {
    start: { way: [] },
    parse: (query) => ({ way: way(query.get("way")) }),
    format: (own) => ({ way: wayText(own.way) ?? "" }),
  },
  component: Classifier,
};

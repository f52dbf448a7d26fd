import { formatPath, parsePath } from "../../model/head";
import type { TabView } from "../../state/view";
import Classifier from "./Classifier.svelte";

/** `path`: the chosen term of each sum, from the logit back, by its index in the layer. */
export interface ClassifierParameters {
  readonly path: readonly (readonly number[])[];
}

declare module "../../model/address" {
  interface ViewParameters {
    classifier: ClassifierParameters;
  }
}

export const view: TabView<"classifier"> = {
  name: "classifier",
  title: "Classifier",
  kind: "tab",
  order: 5,
  parent: "network",
  keep: "view",
  parameters: {
    defaults: { path: [] },
    parse: (query) => ({ path: parsePath(query.get("way")) }),
    format: (own) => ({ way: formatPath(own.path) ?? "" }),
  },
  component: Classifier,
};

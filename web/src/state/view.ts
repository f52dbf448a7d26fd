// The description of a view. Every view exports one, `view`, from its `index.ts`; tabs, titles and
// addresses follow from it.
import type { Component } from "svelte";
import type { Layer } from "../api/wire";
import type { ViewAddress, ViewName } from "../model/address";

interface Described<V extends ViewName> extends ViewAddress<V> {
  /** In the title of the window and in the tabs. */
  readonly title: string;
  /** Views are sorted by this number. */
  readonly order: number;
  /** Whether the image is shown beside it; true by default. */
  readonly image?: boolean;
  /** Whether it can be shown without a pass of the image; false by default. */
  readonly withoutPass?: boolean;
  /** What switched-off units change, as the end of a sentence; by default everything. */
  readonly whenUnitsAreOff?: string;
}

/** A view of the whole network, with a tab at the top. */
export interface TabView<V extends ViewName = ViewName> extends Described<V> {
  readonly kind: "tab";
  readonly component: Component;
}

/** A view of a layer. With a `side`, the title of its button, it is one of the views of a channel. */
export interface LayerView<V extends ViewName = ViewName> extends Described<V> {
  readonly kind: "layer";
  readonly side?: string;
  readonly component: Component<{ layer: Layer }>;
}

export type View<V extends ViewName = ViewName> = TabView<V> | LayerView<V>;

/** The views that the modules of a glob import export. */
export const viewsOf = (modules: Record<string, { readonly view: View }>): readonly View[] =>
  Object.values(modules).map(({ view }) => view);

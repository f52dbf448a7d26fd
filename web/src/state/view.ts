// What a view tells the page about itself. Every view exports one such value, `view`, in its
// `index.ts`; the tabs, the titles and the addresses follow from it.
import type { Component } from "svelte";
import type { Layer } from "../api/wire";
import type { ViewAddress, ViewName } from "../model/address";

interface Described<V extends ViewName> extends ViewAddress<V> {
  /** In the title of the window and in the tabs. */
  readonly title: string;
  /** Its place among the others: smaller numbers first. */
  readonly order: number;
  /** Whether the image stands beside it; true by default. */
  readonly image?: boolean;
  /** Whether it can be shown without a pass of the image; false by default. */
  readonly withoutPass?: boolean;
  /** What is still true of the whole network when units are switched off; by default nothing. */
  readonly whenUnitsAreOff?: string;
}

/** A view of the whole network, with a tab at the top. */
export interface TabView<V extends ViewName = ViewName> extends Described<V> {
  readonly kind: "tab";
  readonly component: Component;
}

/** A view below a layer. With a `side` it is one of the sides of a channel. */
export interface LayerView<V extends ViewName = ViewName> extends Described<V> {
  readonly kind: "layer";
  readonly side?: string;
  readonly component: Component<{ layer: Layer }>;
}

export type View<V extends ViewName = ViewName> = TabView<V> | LayerView<V>;

/** The views that the modules of a glob import export. */
export const viewsOf = (modules: Record<string, { readonly view: View }>): readonly View[] =>
  Object.values(modules).map(({ view }) => view);

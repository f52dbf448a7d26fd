// The current view and its parameters, as a value and as the query string of the address. Pure functions.

export const SCALES = ["unit", "layer", "network"] as const;
export type Scale = (typeof SCALES)[number];

export const ORDERS = ["index", "activity"] as const;
export type Order = (typeof ORDERS)[number];

/**
 * The parameters of every view. `at` is the position in the unit's map, (row, column).
 * `target` is a class other than the image's own label; `off` are the units that are switched off.
 */
export interface Shared {
  readonly image: string | null;
  readonly layer: string | null;
  readonly unit: number;
  readonly at: readonly [number, number];
  readonly scale: Scale;
  readonly order: Order;
  readonly target: number | null;
  readonly off: readonly (readonly [layer: string, unit: number])[];
}

/**
 * The parameters that only one view has, by the view's name. Every view adds its own in its
 * `index.ts`: `declare module "../../model/address" { interface ViewParameters { … } }`.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface ViewParameters {}

export type ViewName = keyof ViewParameters;

/** All parameters of a view: the shared ones, and its `own`. */
export interface PlaceIn<V extends ViewName> extends Shared {
  readonly view: V;
  readonly own: ViewParameters[V];
}

export type Place = { [V in ViewName]: PlaceIn<V> }[ViewName];

/** A change of parameters; those of a view are given together with its name. */
export type Change = Partial<Shared> &
  (
    | { readonly view?: never; readonly own?: never }
    | {
        [V in ViewName]: { readonly view: V; readonly own?: Partial<ViewParameters[V]> };
      }[ViewName]
  );

/** How the parameters of a view are written in the address. */
export interface Codec<Own> {
  readonly defaults: Own;
  /** What is missing or wrong is as in `defaults`. */
  parse(query: URLSearchParams): Own;
  /** Every parameter as text, by name. */
  format(own: Own): Readonly<Record<string, string>>;
}

export type NoParameters = Readonly<Record<string, never>>;
export const NO_PARAMETERS: Codec<NoParameters> = {
  defaults: {},
  parse: () => ({}),
  format: () => ({}),
};

export interface ViewAddress<V extends ViewName = ViewName> {
  readonly name: V;
  /** The view one level up. */
  readonly parent: ViewName;
  readonly parameters: Codec<ViewParameters[V]>;
  /** How long own parameters are kept. "image": until the image changes; "view": also in other views. */
  readonly keep?: "image" | "view";
  /** Whether the address contains the position even if it is (0, 0). */
  readonly alwaysPosition?: boolean;
}

const SHARED_AT_START: Shared = {
  image: null,
  layer: null,
  unit: 0,
  at: [0, 0],
  scale: "unit",
  order: "index",
  target: null,
  off: [],
};

/** Names from earlier versions: of views, and of the first own parameter of a view. */
const EARLIER_VIEWS: ReadonlyMap<string, string> = new Map([["card", "atlas"]]);
const EARLIER_PARAMETER = "more";

/** Reads and writes the addresses of a table of views; the first of them is the start. */
export class Addresses {
  readonly start: Place;
  readonly #views: ReadonlyMap<string, ViewAddress>;

  constructor(views: readonly ViewAddress[]) {
    this.#views = new Map(views.map((view) => [view.name, view]));
    const [first] = views;
    if (!first) throw new Error("there are no views");
    this.start = this.#place(SHARED_AT_START, first, first.parameters.defaults);
  }

  view(name: ViewName): ViewAddress {
    const view = this.#views.get(name);
    if (!view) throw new Error(`there is no view ${name}`);
    return view;
  }

  /** The place of a query string; missing or wrong parameters have their defaults. */
  parse(text: string): Place {
    const query = new URLSearchParams(text);
    const name = query.get("view") ?? "";
    const view = this.#views.get(EARLIER_VIEWS.get(name) ?? name) ?? this.view(this.start.view);
    const earlier = query.get(EARLIER_PARAMETER);
    const [parameter] = Object.keys(view.parameters.format(view.parameters.defaults));
    if (earlier !== null && parameter && !query.has(parameter)) query.set(parameter, earlier);
    return this.#place(shared(query), view, view.parameters.parse(query));
  }

  /** The query string of a place, "" at the start. `parse(format(place))` is the place. */
  format(place: Place): string {
    const start = this.#startTexts(place.view);
    const query = new URLSearchParams();
    for (const [name, text] of Object.entries(this.#texts(place))) {
      const always = name === "at" && this.view(place.view).alwaysPosition;
      if (text !== start[name] || always) query.set(name, text);
    }
    const text = query.toString();
    return text ? `?${text}` : "";
  }

  /** The parts of a query string that are not understood, as written: "view=moon". */
  unknown(text: string): string[] {
    const place = this.parse(text);
    const texts = this.#texts(place);
    const start = this.#startTexts(place.view);
    return [...new URLSearchParams(text)]
      .filter(([name, given]) => name in texts && given !== "" && given !== start[name])
      .filter(([name]) => texts[name] === start[name])
      .map(([name, given]) => `${name}=${given}`);
  }

  /** The place one level up: number, channel, layer, network. */
  parent(place: Place): Place {
    const parent = this.view(this.view(place.view).parent);
    return this.#place(place, parent, parent.parameters.defaults);
  }

  /**
   * The place after a change. The parameters of a view are kept while it shows the same layer, and
   * as its `keep` says; otherwise they are `remembered`, or the defaults.
   */
  change(place: Place, change: Change, remembered?: ViewParameters[ViewName]): Place {
    const next = { ...place, ...change };
    const view = this.view(next.view);
    const sameView = next.view === place.view && next.layer === place.layer;
    const kept = sameView && (view.keep !== "image" || next.image === place.image);
    const own = kept ? place.own : (remembered ?? view.parameters.defaults);
    return this.#place(next, view, { ...own, ...change.own } as ViewParameters[ViewName]);
  }

  /** The texts of the defaults, which are left out of the address. */
  #startTexts(view: ViewName): Readonly<Record<string, string>> {
    const own = this.view(view).parameters.defaults;
    return { ...this.#texts({ ...this.start, view, own } as Place), view: this.start.view };
  }

  // The only place that combines the name of a view with its parameters.
  #place(from: Shared, view: ViewAddress, own: ViewParameters[ViewName]): Place {
    const { image, layer, unit, at, scale, order, target, off } = from;
    return { view: view.name, image, layer, unit, at, scale, order, target, off, own } as Place;
  }

  /** All parameters as text, by their name in the address. */
  #texts(place: Place): Readonly<Record<string, string>> {
    const { parameters } = this.view(place.view);
    return {
      view: place.view,
      image: place.image ?? "",
      layer: place.layer ?? "",
      unit: String(place.unit),
      at: place.at.join(","),
      scale: place.scale,
      order: place.order,
      target: place.target === null ? "" : String(place.target),
      off: JSON.stringify(place.off),
      ...parameters.format(place.own),
    };
  }
}

function shared(query: URLSearchParams): Shared {
  const at = query.get("at")?.split(",").map(wholeNumber) ?? [];
  const [row, column] = at;
  return {
    image: query.get("image"),
    layer: query.get("layer"),
    unit: wholeNumber(query.get("unit")) ?? 0,
    at: at.length === 2 && row != null && column != null ? [row, column] : [0, 0],
    scale: oneOf(SCALES, query.get("scale")) ?? SHARED_AT_START.scale,
    order: oneOf(ORDERS, query.get("order")) ?? SHARED_AT_START.order,
    target: wholeNumber(query.get("target")),
    off: units(query.get("off")),
  };
}

/** A whole number from 0 to 999,999,999; null if the text is not one. */
export function wholeNumber(text: string | null | undefined): number | null {
  return text != null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

function oneOf<T extends string>(allowed: readonly T[], text: string | null): T | null {
  return allowed.find((one) => one === text) ?? null;
}

function units(text: string | null): [string, number][] {
  if (text === null) return [];
  try {
    const given: unknown = JSON.parse(text);
    if (!Array.isArray(given)) return [];
    return given.filter(
      (item): item is [string, number] =>
        Array.isArray(item) &&
        item.length === 2 &&
        typeof item[0] === "string" &&
        Number.isSafeInteger(item[1]),
    );
  } catch {
    return [];
  }
}

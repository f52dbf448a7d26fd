// Where one is on the page, as a value, and as the text after the page's address. Pure.

export const VIEWS = [
  "network",
  "layer",
  "channel",
  "card",
  "number",
  "classifier",
  "pathways",
  "shift",
  "kernel",
] as const;
export type View = (typeof VIEWS)[number];

export const SCALES = ["unit", "layer", "network"] as const;
export type Scale = (typeof SCALES)[number];

export const ORDERS = ["index", "activity"] as const;
export type Order = (typeof ORDERS)[number];

/**
 * `at` is the place in the unit's map, (row, column). `tab` is the input channel in the formula
 * pane. `target` is the class in question where it is not the image's own. `off` are the units that
 * are switched off. `kernel` is the kernel playground's, `way` the classifier's, `more` is the
 * pathways' class to compare with, the shift laboratory's shift, and "here" on a card whose place
 * was chosen; it does not outlive its view.
 */
export interface Place {
  readonly view: View;
  readonly image: string | null;
  readonly layer: string | null;
  readonly unit: number;
  readonly at: readonly [number, number];
  readonly tab: number | null;
  readonly scale: Scale;
  readonly order: Order;
  readonly target: number | null;
  readonly off: readonly [string, number][];
  readonly kernel: string | null;
  readonly way: string | null;
  readonly more: string | null;
}

export const START: Place = {
  view: "network",
  image: null,
  layer: null,
  unit: 0,
  at: [0, 0],
  tab: null,
  scale: "unit",
  order: "index",
  target: null,
  off: [],
  kernel: null,
  way: null,
  more: null,
};

/** The place that a query string names; what it does not name, or names wrongly, is as at the start. */
export function parse(query: string): Place {
  const given = new URLSearchParams(query);
  const at = given.get("at")?.split(",").map(whole) ?? [];
  const [row, column] = at;
  return {
    view: oneOf(VIEWS, given.get("view")) ?? START.view,
    image: given.get("image"),
    layer: given.get("layer"),
    unit: whole(given.get("unit")) ?? START.unit,
    at: at.length === 2 && row != null && column != null ? [row, column] : START.at,
    tab: whole(given.get("tab")),
    scale: oneOf(SCALES, given.get("scale")) ?? START.scale,
    order: oneOf(ORDERS, given.get("order")) ?? START.order,
    target: whole(given.get("target")),
    off: units(given.get("off")),
    kernel: given.get("kernel"),
    way: given.get("way"),
    more: given.get("more"),
  };
}

/** The parts of a query string that say nothing, as they stand: "view=moon". */
export function misread(query: string): string[] {
  const place = parse(query);
  const same = (name: string, value: unknown): boolean =>
    JSON.stringify(value) === JSON.stringify(START[name as keyof Place]);
  return [...new URLSearchParams(query)]
    .filter(([name, text]) => {
      const read = name in START && same(name, place[name as keyof Place]);
      const asAtStart = text === String(START[name as keyof Place]) || text === "[]";
      return read && text !== "" && !asAtStart;
    })
    .map(([name, text]) => `${name}=${text}`);
}

/** The query string of a place, "" at the start. `parse(format(place))` is the place. */
export function format(place: Place): string {
  const given = new URLSearchParams();
  const write = (name: keyof Place, value: string): void => {
    if (JSON.stringify(place[name]) !== JSON.stringify(START[name])) given.set(name, value);
  };
  write("view", place.view);
  write("image", place.image ?? "");
  write("layer", place.layer ?? "");
  write("unit", String(place.unit));
  // Of a number also the first place is named: it was chosen, and does not step on by itself.
  if (place.view === "number") given.set("at", place.at.join(","));
  else write("at", place.at.join(","));
  write("tab", String(place.tab));
  write("scale", place.scale);
  write("order", place.order);
  write("target", String(place.target));
  write("off", JSON.stringify(place.off));
  write("kernel", place.kernel ?? "");
  write("way", place.way ?? "");
  write("more", place.more ?? "");
  const text = given.toString();
  return text ? `?${text}` : "";
}

/** The place one level up: number, channel, layer, network. */
export function above(place: Place): Place {
  const up: Record<View, View> = {
    number: "channel",
    channel: "layer",
    layer: "network",
    card: "layer",
    classifier: "network",
    pathways: "network",
    shift: "network",
    kernel: "network",
    network: "network",
  };
  return { ...place, view: up[place.view], more: null };
}

function whole(text: string | null | undefined): number | null {
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

// The ends of the colours of a map, as the address has the scale: its own, its layer's, or those of
// the whole network.
import type { Scale } from "../model/address";
import { ends, type Range } from "../model/colours";
import { explorer } from "./explorer.svelte";

/** `own` is the map's own range. Null while the pass that knows the others is on its way. */
export function rangeOn(
  layer: string,
  own: Range | null,
  scale: Scale = explorer.place.scale,
): Range | null {
  if (scale === "unit") return own;
  const { pass } = explorer;
  const found = scale === "network" ? pass : pass?.layers.find((one) => one.layer === layer);
  return found ? ends(found.low, found.high) : null;
}

/** For a legend. */
export const scaleWords = (layer: string): string =>
  ({
    unit: "this map’s own scale",
    layer: `scale of all of ${layer}`,
    network: "one scale for the whole network",
  })[explorer.place.scale];

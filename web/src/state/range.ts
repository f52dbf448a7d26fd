// The ends of the colours of a map, as the address has the scale: its own, its layer's, or those of
// the whole network.
import type { Scale } from "../model/address";
import { ends, type Range } from "../model/colours";
import type { Explorer } from "./explorer.svelte";

/** `own` is the map's own range. Null while the pass that knows the others is on its way. */
export function rangeOn(
  explorer: Explorer,
  layer: string,
  own: Range | null,
  scale: Scale = explorer.navigation.place.scale,
): Range | null {
  if (scale === "unit") return own;
  const pass = explorer.pass.result;
  const limits = scale === "network" ? pass : pass?.layers.find((one) => one.layer === layer);
  return limits ? ends(limits.low, limits.high) : null;
}

/** For a legend. */
export const scaleWords = (explorer: Explorer, layer: string): string =>
  ({
    unit: "scale of this map",
    layer: `scale of all maps of ${layer}`,
    network: "scale of the whole network",
  })[explorer.navigation.place.scale];

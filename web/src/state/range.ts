// The range of the colours of a map, by the scale in the address: of the map, its layer, or the network.
import type { Scale } from "../model/address";
import { ends, type Range } from "../model/colours";
import type { Explorer } from "./explorer.svelte";

/** `own` is the range of the map. Null while the pass, which has the other ranges, is loading. */
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

/** The scale as the title of a legend. */
export const scaleWords = (explorer: Explorer, layer: string): string =>
  ({
    unit: "scale of this map",
    layer: `scale of all maps of ${layer}`,
    network: "scale of the whole network",
  })[explorer.navigation.place.scale];

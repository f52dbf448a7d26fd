// The colour range of a map: its own, its layer's or the network's.
import { rangeOf, type Range } from "../../model/colours";
import { explorer } from "../../state/explorer.svelte";

export function rangeFor(layer: string, values: ArrayLike<number>): Range {
  const { scale } = explorer.place;
  const pass = explorer.pass;
  const found =
    scale === "layer"
      ? pass?.layers.find((one) => one.layer === layer)
      : scale === "network"
        ? pass
        : null;
  if (!found || found.low === null || found.high === null) return rangeOf(values);
  return rangeOf([found.low, found.high]);
}

/** For a legend. */
export const scaleWords = (layer: string): string =>
  ({
    unit: "this map’s own scale",
    layer: `scale of all of ${layer}`,
    network: "one scale for the whole network",
  })[explorer.place.scale];

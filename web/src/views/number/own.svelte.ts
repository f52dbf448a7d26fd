// The map of a channel; of a vector all its units.
import { activationMaps, units, type Maps } from "../../source/server";
import type { Layer } from "../../api/wire";
import { explorer } from "../../state/explorer.svelte";
import { latest } from "../../state/latest.svelte";

/** To be called where effects may be: in a component's script. */
export function ownMaps(
  of: () => Layer | null,
  channel: () => number,
): { readonly value: Maps | null } {
  return latest(
    () => {
      const [layer, seen] = [of(), explorer.seen];
      if (!layer || !seen || ![1, 3].includes(layer.shape.length)) return null;
      const { name, shape } = layer;
      return { seen, layer: { name, shape }, channel: shape.length === 3 ? channel() : null };
    },
    ({ seen, layer, channel }) =>
      channel === null ? units(seen, layer) : activationMaps(seen, layer.name, [channel]),
  );
}

// Loads the map of a channel, or all units of a vector.
import type { Layer } from "../../api/wire";
import type { Maps } from "../../model/maps";
import { getExplorer, getSource } from "../../state/context";
import { latest } from "../../state/latest.svelte";

/** To be called in a component's script. */
export function channelMap(
  of: () => Layer | null,
  channel: () => number,
): { readonly value: Maps | null } {
  const explorer = getExplorer();
  const source = getSource();
  return latest(
    () => {
      const [layer, request] = [of(), explorer.pass.request];
      if (!layer || !request || ![1, 3].includes(layer.shape.length)) return null;
      const { name, shape } = layer;
      const all = Array.from({ length: shape[0] ?? 1 }, (_, unit) => unit);
      return { request, layer: name, channels: shape.length === 3 ? [channel()] : all };
    },
    ({ request, layer, channels }) => source.maps(request, layer, channels),
  );
}

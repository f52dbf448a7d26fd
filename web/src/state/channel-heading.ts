// What the heading of a channel shows and does, in every view of a channel.
import type { Layer } from "../api/wire";
import type { Scale } from "../model/address";
import type { Explorer } from "./explorer.svelte";

/** The properties of `ui/ChannelHeading` that follow from the state. */
export function channelHeading(explorer: Explorer, layer: Layer) {
  const { navigation } = explorer;
  const { unit, scale } = navigation.place;
  const maps = layer.shape.length === 3 && layer.kind !== "input";
  return {
    layer,
    unit,
    scale,
    className: explorer.className(layer, unit),
    off: explorer.isOff(layer.name, unit),
    keys: !explorer.choosingImage,
    sides: explorer.views.flatMap((view) =>
      maps && view.kind === "layer" && view.side
        ? [
            {
              title: view.side,
              current: view === explorer.view,
              open: () => navigation.go({ view: view.name }),
            },
          ]
        : [],
    ),
    turn: (to: number): void => {
      navigation.moveToUnit(to);
      explorer.announce(`${layer.shape.length < 2 ? "unit" : "channel"} ${to}`);
    },
    toggle: (): void => explorer.toggle([layer.name, unit]),
    setScale: (to: Scale): void => navigation.move({ scale: to }),
  };
}

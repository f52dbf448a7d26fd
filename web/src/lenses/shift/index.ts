import type { TabView } from "../../state/view";
import { formatShift, parseShift, type Shift as ShiftParameters } from "./shift";
import Shift from "./Shift.svelte";

declare module "../../model/address" {
  interface ViewParameters {
    shift: ShiftParameters;
  }
}

export const view: TabView<"shift"> = {
  name: "shift",
  title: "Shift",
  stands: "tab",
  order: 7,
  above: "network",
  whenUnitsAreOff:
    "the probabilities above and what the first network predicts are without; the other networks and the study are whole.",
  parameters: {
    start: parseShift(null),
    parse: (query) => parseShift(query.get("shift")),
    format: (shift) => ({ shift: formatShift(shift) }),
  },
  component: Shift,
};

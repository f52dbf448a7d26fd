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
  kind: "tab",
  order: 7,
  parent: "network",
  whenUnitsAreOff:
    "this changes the probabilities above and the predictions of the first network, but not the other networks or the study.",
  parameters: {
    defaults: parseShift(null),
    parse: (query) => parseShift(query.get("shift")),
    format: (shift) => ({ shift: formatShift(shift) }),
  },
  component: Shift,
};

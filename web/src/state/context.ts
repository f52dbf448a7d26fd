// Access to the state and the source of the page, from a component's script.
import { getContext } from "svelte";
import type { Source } from "../source/source";
import type { Explorer } from "./explorer.svelte";

const EXPLORER = Symbol("explorer");

/** The context to mount a component with. */
export const contextOf = (explorer: Explorer): Map<symbol, Explorer> =>
  new Map([[EXPLORER, explorer]]);

export const getExplorer = (): Explorer => getContext<Explorer>(EXPLORER);

export const getSource = (): Source => getExplorer().source;

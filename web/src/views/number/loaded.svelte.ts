// Maps of a layer, asked for when what is asked for changes; the last ones stay until then.
import { activationMaps, type Maps } from "../../api/client";
import { explorer } from "../../state/explorer.svelte";

export interface Asked {
  readonly layer: string;
  readonly first: number;
  readonly last: number;
}

/** To be called where effects may be: in a component's script. */
export function loadedMaps(asked: () => Asked | null): { readonly maps: Maps | null } {
  let maps: Maps | null = $state.raw(null);
  $effect(() => {
    const wanted = asked();
    const seen = explorer.seen;
    if (!wanted || !seen || explorer.progress) return;
    let left = false;
    activationMaps(seen, wanted.layer, wanted.first, wanted.last).then(
      (found) => {
        if (!left) maps = found;
      },
      (error: unknown) => {
        if (!left) explorer.report(error);
      },
    );
    return () => {
      left = true;
    };
  });
  return {
    get maps() {
      return maps;
    },
  };
}

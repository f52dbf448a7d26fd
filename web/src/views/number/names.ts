// What a unit is called: of the logits and probabilities by its class.
import type { Layer } from "../../api/wire";
import { explorer } from "../../state/explorer.svelte";

/** The class that a unit of a layer stands for; null where it stands for none. */
export function className(layer: Layer | null, unit: number): string | null {
  const subject = explorer.subject;
  if (!layer || !subject || layer.shape[0] !== subject.classes.length) return null;
  const classes =
    layer.name === subject.logits || layer.name === subject.output || layer.kind === "softmax";
  return classes ? (subject.classes[unit] ?? null) : null;
}

export function unitName(layer: Layer | null, unit: number): string {
  const name = className(layer, unit);
  const place = layer?.shape.length === 3 ? `channel ${unit}` : `unit ${unit}`;
  return name === null ? place : `${place}, ${name}`;
}

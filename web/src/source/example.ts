// A small network for component tests: every value is a function of the image and the index.
import type { Layer, LayerDetail, Ledger, Pass, Subject, Unit } from "../api/wire";
import type { Maps } from "../model/maps";
import type { PassRequest } from "./source";

const layer = (
  name: string,
  kind: string,
  family: string,
  shape: number[],
  input?: string,
): Layer => ({
  name,
  kind,
  family,
  shape,
  inputs: input === undefined ? [] : [input],
  operation: kind,
  formula: true,
  field: null,
  parameters: kind === "convolution" || kind === "linear" ? 100 : 0,
  multiply_adds: 0,
  stage: shape.length === 3 ? "features" : "head",
});

export const LAYERS: readonly Layer[] = [
  layer("input", "input", "input", [3, 8, 8]),
  layer("conv", "convolution", "convolution", [4, 8, 8], "input"),
  layer("relu", "relu", "activation", [4, 8, 8], "conv"),
  layer("pool", "max_pool", "pool", [4, 4, 4], "relu"),
  layer("flatten", "flatten", "rearrangement", [64], "pool"),
  layer("fc", "linear", "linear", [5], "flatten"),
  layer("softmax", "softmax", "softmax", [5], "fc"),
  layer("cross_entropy", "cross_entropy", "loss", [], "fc"),
];

export const SUBJECT: Subject = {
  title: "example",
  classes: ["ant", "bee", "cat", "dog", "emu"],
  first: "data-0",
  input: [3, 8, 8],
  layers: [...LAYERS],
  logits: "fc",
  output: "fc",
  multiply_adds: 12345,
  parameters: 6789,
  stages: [
    { name: "features", first: 0, count: 4, parameters: 100 },
    { name: "head", first: 4, count: 4, parameters: 100 },
  ],
  trained: true,
  upload_bytes: 1000,
};

/** The same network without its head: it has maps and no classes. */
export const TRUNK: Subject = {
  ...SUBJECT,
  classes: [],
  layers: LAYERS.slice(0, 4),
  logits: "pool",
  output: "pool",
  stages: SUBJECT.stages.slice(0, 1),
};

/** A pseudo-random number from -2 to 2 that depends on a text. */
function numberOf(text: string): number {
  let hash = 2166136261;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  return ((hash >>> 0) / 2 ** 32) * 4 - 2;
}

const switchedOff = (off: readonly Unit[], name: string, unit: number): boolean =>
  off.some(([layer, number]) => layer === name && number === unit);

/** A value of a layer. The index is (unit), (unit, row, column), or () for a scalar. */
export function valueOf(
  { image, off }: PassRequest,
  name: string,
  index: readonly number[],
): number {
  if (switchedOff(off, name, index[0] ?? -1)) return 0;
  return numberOf(JSON.stringify([image, off, name, index]));
}

const named = (name: string): Layer => {
  const found = LAYERS.find((one) => one.name === name);
  if (!found) throw new Error(`no layer ${name}`);
  return found;
};

export function mapsOf(request: PassRequest, name: string, channels: readonly number[]): Maps {
  const [, height = 1, width = 1] = named(name).shape;
  const values = channels.flatMap((channel) =>
    Array.from({ length: height * width }, (_, place) =>
      valueOf(
        request,
        name,
        named(name).shape.length === 3
          ? [channel, Math.floor(place / width), place % width]
          : [channel],
      ),
    ),
  );
  return { count: channels.length, height, width, values: Float32Array.from(values) };
}

export function valuesOf(request: PassRequest, name: string) {
  const { shape } = named(name);
  const count = shape[0] ?? 1;
  const units = Array.from({ length: count }, (_, unit) =>
    shape.length ? [...mapsOf(request, name, [unit]).values] : [valueOf(request, name, [])],
  );
  const mean = (values: number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    layer: name,
    lows: units.map((values) => Math.min(...values)),
    highs: units.map((values) => Math.max(...values)),
    means: units.map(mean),
    dead: units.flatMap((values, unit) => (values.every((value) => value === 0) ? [unit] : [])),
  };
}

export function passOf(request: PassRequest): Pass {
  const logits = [0, 1, 2, 3, 4].map((unit) => valueOf(request, "fc", [unit]));
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const label = 1;
  return {
    image: request.image,
    off: request.off.map(([layer, unit]) => [layer, unit]),
    picture: { image: request.image, name: `${request.image}.png`, split: "test", label },
    target: request.target ?? label,
    logits,
    probabilities: logits.map((logit) => Math.exp(logit) / total),
    predicted: logits.indexOf(Math.max(...logits)),
    cross_entropy: valueOf(request, "cross_entropy", []),
    low: -2,
    high: 2,
    layers: LAYERS.map(({ name, shape }) => ({
      layer: name,
      low: -2,
      high: 2,
      mean: 0,
      dead: 0,
      strongest: Array.from({ length: Math.min(3, shape[0] ?? 0) }, (_, channel) => ({
        channel,
        high: 2,
        mean: 1,
      })),
    })),
  };
}

export function detailOf(name: string): LayerDetail {
  const { shape, kind } = named(name);
  const box = (side: number | undefined): [number, number][] =>
    Array.from({ length: side ?? 1 }, (_, place) => [Math.max(0, place - 1), place + 2]);
  const window = { kernel_size: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1] };
  return {
    layer: name,
    rows: box(shape[1]),
    columns: box(shape[2]),
    parameters: [],
    settings: kind === "convolution" ? { ...window, groups: 1 } : {},
  };
}

/** The index in the pool of a unit of the flattened vector. */
const pooled = ([unit = 0]: readonly number[]): number[] => [
  Math.floor(unit / 16),
  Math.floor((unit % 16) / 4),
  unit % 4,
];

/** How a value is computed; for a convolution, from 3 x 3 windows in all three input channels. */
export function ledgerOf(request: PassRequest, name: string, index: readonly number[]): Ledger {
  const { kind, inputs } = named(name);
  const value = valueOf(request, name, index);
  const [input] = inputs;
  const [, row = 0, column = 0] = index;
  const terms: number[][] =
    kind === "convolution"
      ? [0, 1, 2].flatMap((channel) =>
          [-1, 0, 1].flatMap((y) => [-1, 0, 1].map((x) => [channel, row + y, column + x])),
        )
      : kind === "linear"
        ? [0, 1, 2].map((unit) => [unit])
        : kind === "softmax" || kind === "cross_entropy"
          ? [0, 1, 2, 3, 4].map((unit) => [unit])
          : [kind === "flatten" ? pooled(index) : [...index]];
  const outside = terms.map((term) => term.some((number) => number < 0 || number > 63));
  return {
    layer: name,
    kind,
    index: [...index],
    formula: kind,
    value,
    sum: value,
    difference: 0,
    error: 0,
    scale: Math.abs(value),
    agrees: true,
    bias: kind === "convolution" || kind === "linear" ? 0.125 : null,
    count: terms.length,
    weighted: kind === "convolution" || kind === "linear",
    window: kind === "convolution" ? [3, 3, 3] : null,
    first_channel: 0,
    channel_sums: kind === "convolution" ? [0.5, -1, 0.25] : [],
    strongest: kind === "convolution" ? [1, 0, 2] : [],
    others: { count: 0, sum: null },
    rest: { count: 0, sum: null },
    details: {
      ...(switchedOff(request.off, name, index[0] ?? -1) && { mask: 0 }),
      ...(kind === "softmax" && { largest: 1.75, total: 3.25, probability: 0.2 }),
      ...(kind === "cross_entropy" && {
        target: request.target ?? 1,
        largest: 1.75,
        total: 3.25,
        probability: 0.2,
      }),
    },
    sources:
      input === undefined
        ? []
        : [
            {
              node: input,
              index: terms,
              padding: outside,
              value: terms.map((term) => valueOf(request, input, term)),
              weight: terms.map(() => 0.5),
              product: terms.map((term) => 0.5 * valueOf(request, input, term)),
            },
          ],
  };
}

// Which component shows the formula of which kind of layer.
import type { Component } from "svelte";
import type { Layer, Ledger } from "../../api/wire";
import Activation from "./Activation.svelte";
import AveragePool from "./AveragePool.svelte";
import BatchNorm from "./BatchNorm.svelte";
import Convolution from "./Convolution.svelte";
import Linear from "./Linear.svelte";
import Loss from "./Loss.svelte";
import MaxPool from "./MaxPool.svelte";
import Operands from "./Operands.svelte";
import type { Pane } from "./pane.svelte";
import Pixel from "./Pixel.svelte";
import LocalResponseNorm from "./LocalResponseNorm.svelte";
import Unchanged from "./Unchanged.svelte";
import Softmax from "./Softmax.svelte";
import Table from "./Table.svelte";

export type Family = Component<{ pane: Pane; ledger: Ledger }>;

const KINDS: Readonly<Record<string, Family>> = {
  input: Pixel,
  convolution: Convolution,
  linear: Linear,
  max_pool: MaxPool,
  adaptive_max_pool: MaxPool,
  average_pool: AveragePool,
  adaptive_average_pool: AveragePool,
  batch_norm: BatchNorm,
  local_response_norm: LocalResponseNorm,
  softmax: Softmax,
  cross_entropy: Loss,
};
const FAMILIES: Readonly<Record<string, Family>> = {
  activation: Activation,
  arithmetic: Operands,
  rearrangement: Unchanged,
};

/** A plain table of terms for a kind that has no component. */
export const familyOf = ({ kind, family }: Layer): Family =>
  KINDS[kind] ?? FAMILIES[family] ?? Table;

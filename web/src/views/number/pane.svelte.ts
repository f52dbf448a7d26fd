// The state of the formula pane: the value under the pointer or in the address, how it is computed,
// and the moves from value to value.
import { untrack } from "svelte";
import type { Layer, LayerDetail, Ledger } from "../../api/wire";
import { windowed } from "../../model/maps";
import { text } from "../../model/numbers";
import { indexOf, moved, next, pixelOf, spotOf, words, type At, type Spot } from "../../model/spot";
import { geometry, outputAt, type Geometry, type Term } from "../../model/window";
import type { PassRequest } from "../../source/source";
import { getExplorer } from "../../state/context";
import type { Explorer } from "../../state/explorer.svelte";
import { latest, type Latest } from "../../state/latest.svelte";

const STEP_MILLISECONDS = 250;
/** How many terms are requested for these kinds of layers. */
const LIMITS: Partial<Record<string, number>> = { linear: 12, softmax: 12, cross_entropy: 12 };

export class Pane {
  readonly #explorer: Explorer = getExplorer();
  readonly layer: Layer;
  readonly map: boolean;
  hovered: Spot | null = $state.raw(null);
  playing: boolean = $state(false);

  readonly spot: Spot = $derived(
    this.hovered ?? {
      unit: this.#explorer.navigation.place.unit,
      at: this.#explorer.navigation.place.at,
    },
  );
  readonly #detail: Latest<string, LayerDetail>;
  readonly #number: Latest<readonly [PassRequest, readonly number[]], Ledger>;

  /**
   * How the value is computed. While the pointer moves, the last ledger of this image stays until the
   * next one arrives; it includes its own position.
   */
  readonly ledger: Ledger | null = $derived.by(() => {
    const { arrived } = this.#number;
    const own =
      arrived && JSON.stringify(arrived.request[0]) === JSON.stringify(this.#explorer.pass.request);
    return own ? arrived.answer : null;
  });
  readonly detail: LayerDetail | null = $derived.by(() => this.#detail.value);
  readonly geometry: Geometry | null = $derived(geometry(this.detail?.settings ?? {}));
  /** The input channel of a convolution whose products are shown. */
  readonly inputChannel: number = $derived(
    this.#explorer.navigation.own("number").inputChannel ??
      this.ledger?.strongest[0] ??
      this.ledger?.first_channel ??
      0,
  );

  /** To be created in a component's script. */
  constructor(layer: Layer) {
    this.layer = layer;
    this.map = layer.shape.length === 3 && (layer.shape[1] ?? 1) * (layer.shape[2] ?? 1) > 1;
    // Without a chosen position the kernel starts to move, unless the user prefers reduced motion.
    const [row, column] = this.#explorer.navigation.place.at;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const noPosition = !row && !column && !this.#explorer.navigation.positionGiven;
    this.playing = this.map && !still && noPosition && windowed(layer);
    this.#detail = latest(
      () => layer.name,
      (name) => this.#explorer.source.layerDetail(name),
    );
    this.#number = latest(
      () =>
        this.#explorer.pass.request &&
        ([this.#explorer.pass.request, indexOf(layer.shape, this.spot)] as const),
      ([request, index], signal) =>
        this.#explorer.source.number(request, layer.name, index, LIMITS[layer.kind] ?? 200, signal),
    );
    $effect(() => {
      const found = this.#number.value;
      if (found) untrack(() => this.#arrived(found));
    });
    $effect(() =>
      this.#explorer.receptiveField.showAt(
        this.detail,
        layer.shape.length === 3 ? this.spot.at : null,
      ),
    );
    $effect(() => (this.playing ? this.play() : undefined));
    $effect(() => () => this.#explorer.receptiveField.clear());
  }

  get shape(): readonly number[] {
    return this.layer.shape;
  }

  /** The layer that a source's terms come from. */
  node(name: string): Layer | null {
    return this.#explorer.subject?.layers.find((layer) => layer.name === name) ?? null;
  }

  #arrived(ledger: Ledger): void {
    const [strongest] = ledger.strongest;
    if (this.#explorer.navigation.own("number").inputChannel === null && strongest !== undefined)
      this.#explorer.navigation.move({ view: "number", own: { inputChannel: strongest } });
    if (!this.playing) {
      const position = words(ledger.index);
      this.#explorer.announce(`${position ? `${position}: ` : ""}${text(ledger.value)}`);
    }
  }

  // Moves from value to value.

  hover(spot: Spot | null): void {
    if (spot) this.playing = false;
    if (JSON.stringify(spot) !== JSON.stringify(this.hovered)) this.hovered = spot;
  }

  /** The pointer is on the output map. */
  hoverOutput(point: readonly [number, number] | null): void {
    this.hover(point && { unit: this.#explorer.navigation.place.unit, at: pixelOf(point) });
  }

  /** The pointer is on the input map of `shape`: the window goes there with its centre. */
  hoverInput(shape: readonly number[], point: readonly [number, number] | null): void {
    this.hover(
      point && { unit: this.#explorer.navigation.place.unit, at: this.#under(shape, point) },
    );
  }

  /** Writes the hovered value into the address. */
  fix(spot: Spot): void {
    this.playing = false;
    this.#explorer.navigation.go({ unit: spot.unit, at: spot.at });
    this.hovered = null;
  }

  fixInput(shape: readonly number[], point: readonly [number, number]): void {
    this.fix({ unit: this.#explorer.navigation.place.unit, at: this.#under(shape, point) });
  }

  #under(shape: readonly number[], point: readonly [number, number]): At {
    if (!windowed(this.layer)) return this.#beside(point);
    return outputAt(this.geometry, shape, this.shape, point);
  }

  /** Without a window, as in padding and slicing: the same offset as for the current value. */
  #beside(point: readonly [number, number]): At {
    const from = this.ledger?.sources[0]?.index[0] ?? [];
    const along = (axis: 0 | 1): number => {
      const shift = (this.ledger?.index[axis + 1] ?? 0) - (from[axis + 1] ?? 0);
      return Math.max(
        0,
        Math.min((this.shape[axis + 1] ?? 1) - 1, Math.floor(point[axis]) + shift),
      );
    };
    return [along(0), along(1)];
  }

  setInputChannel(channel: number): void {
    const ledger = this.ledger;
    if (!ledger?.window) return;
    const last = ledger.first_channel + ledger.window[0] - 1;
    const inside = Math.max(ledger.first_channel, Math.min(last, channel));
    this.#explorer.navigation.move({ view: "number", own: { inputChannel: inside } });
  }

  toggle(): void {
    this.playing = this.map && !this.playing;
    if (this.playing) this.hovered = null;
  }

  /** One step along the output map, if the last value has arrived. */
  step(): void {
    if (!this.#number.value || document.hidden) return;
    this.#explorer.navigation.move({ at: next(this.shape, this.#explorer.navigation.place.at) });
  }

  /** Steps until the returned function is called. */
  play(): () => void {
    const clock = setInterval(() => this.step(), STEP_MILLISECONDS);
    return () => clearInterval(clock);
  }

  /** Handles a key; whether it has a meaning. */
  handleKey(key: string): boolean {
    if (key === "[" || key === "]") {
      if (!this.ledger?.window) return false;
      this.setInputChannel(this.inputChannel + (key === "]" ? 1 : -1));
      return true;
    }
    if (key === " " && this.map) {
      this.toggle();
      return true;
    }
    if (key === "Enter") return this.#deeper();
    const spot = moved(this.shape, this.spot, key);
    if (!spot) return false;
    this.hovered = null;
    this.#explorer.navigation.move({ unit: spot.unit, at: spot.at });
    return true;
  }

  /** Opens the value with the largest term; whether there is one. */
  #deeper(): boolean {
    let best: (Pick<Term, "node" | "index" | "padding"> & { size: number }) | null = null;
    for (const { node, index, product, padding } of this.ledger?.sources ?? []) {
      index.forEach((one, i) => {
        const size = Math.abs(product[i] ?? 0);
        if (padding[i] || (best && size <= best.size)) return;
        best = { node, index: one, padding: false, size };
      });
    }
    if (!best) return false;
    this.down(best);
    return true;
  }

  /** Opens the value of a term. */
  down({ node, index, padding }: Pick<Term, "node" | "index" | "padding">): void {
    if (padding || !this.node(node)) return;
    const { unit, at } = spotOf(index);
    this.#explorer.openNumber(node, unit, at);
  }
}

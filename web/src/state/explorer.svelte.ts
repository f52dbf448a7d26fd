// The state of the page: the network that is explored, the view, the pass, errors and uploads.
import type { Layer, Subject, Unit } from "../api/wire";
import { Addresses, type ViewName } from "../model/address";
import type { Source } from "../source/source";
import { Errors } from "./errors.svelte";
import { Navigation } from "./navigation.svelte";
import { CurrentPass } from "./pass.svelte";
import { ReceptiveField } from "./receptive-field.svelte";
import { Uploads } from "./uploads.svelte";
import type { View } from "./view";

export class Explorer {
  subject: Subject | null = $state.raw(null);
  /** Read by screen readers when it changes. */
  announcement: string = $state("");
  /** Whether the dialog to choose an image is open. */
  choosingImage: boolean = $state(false);

  readonly source: Source;
  readonly views: readonly View[];
  readonly errors = new Errors();
  readonly navigation: Navigation;
  readonly pass: CurrentPass;
  readonly uploads: Uploads;
  readonly receptiveField: ReceptiveField;

  /** The view that the address names. */
  readonly view: View;
  /** The layer that the address names; null if the network has no such layer. */
  readonly layer: Layer | null;

  constructor(source: Source, views: readonly View[]) {
    this.source = source;
    this.views = [...views].sort((a, b) => a.order - b.order);
    this.navigation = new Navigation(new Addresses(this.views), () => {
      if (this.subject) void this.pass.update();
    });
    this.pass = new CurrentPass(source, this.navigation, this.errors);
    this.uploads = new Uploads(source, this.errors, (image) => this.setImage(image));
    this.receptiveField = new ReceptiveField(this.navigation);
    this.view = $derived(this.#viewOf(this.navigation.place.view));
    this.layer = $derived(
      this.subject?.layers.find((layer) => layer.name === this.navigation.place.layer) ?? null,
    );
  }

  /** Reads the address and requests what it asks for. */
  async start(): Promise<void> {
    this.navigation.start();
    await this.#loadSubject();
  }

  async #loadSubject(): Promise<void> {
    try {
      this.subject = withClassNames(await this.source.subject());
      this.navigation.defaultImage = this.subject.first;
      this.uploads.limit = this.subject.upload_bytes;
      this.navigation.arrive(this.navigation.place);
    } catch (error) {
      this.errors.report(error, () => void this.#loadSubject());
    }
  }

  #viewOf(name: ViewName): View {
    const view = this.views.find((one) => one.name === name);
    if (!view) throw new Error(`there is no view ${name}`);
    return view;
  }

  announce(text: string): void {
    this.announcement = text;
  }

  /** Opens a layer. Unit and position are kept, clipped to the shape of the layer. */
  openLayer(layer: string, view: ViewName = "layer"): void {
    const opened = this.subject?.layers.find((one) => one.name === layer);
    if (!opened) return;
    const { unit, at } = this.navigation.place;
    const [channels = 1, height = 1, width = 1] = opened.shape;
    this.navigation.go({
      view,
      layer,
      unit: Math.min(unit, channels - 1),
      at: [Math.min(at[0], height - 1), Math.min(at[1], width - 1)],
    });
  }

  openChannel(layer: string, unit: number): void {
    this.openLayer(layer, "channel");
    this.navigation.move({ unit });
  }

  openNumber(
    layer: string,
    unit: number,
    at: readonly [number, number] = this.navigation.place.at,
  ): void {
    this.openLayer(layer, "number");
    this.navigation.move({ unit, at });
  }

  setImage(image: string): void {
    this.choosingImage = false;
    this.uploads.forgetError();
    this.navigation.go({ image, target: null, off: [] });
  }

  /** The class that a unit of a layer represents; null if it represents none. */
  className(layer: Layer | null, unit: number): string | null {
    const { subject } = this;
    if (!layer || !subject || layer.shape.length !== 1) return null;
    const scores =
      [subject.logits, subject.output].includes(layer.name) || layer.kind === "softmax";
    const fits = scores && layer.shape[0] === subject.classes.length;
    return fits ? (subject.classes[unit] ?? null) : null;
  }

  /** "unit 3, coat", "channel 7". */
  unitName(layer: Layer | null, unit: number): string {
    const name = this.className(layer, unit);
    const number = layer?.shape.length === 3 ? `channel ${unit}` : `unit ${unit}`;
    return name === null ? number : `${number}, ${name}`;
  }

  /** Switches a unit off, or on again. */
  toggle(unit: Unit): void {
    const { off } = this.navigation.place;
    const rest = off.filter(([layer, number]) => layer !== unit[0] || number !== unit[1]);
    this.navigation.go({ off: rest.length < off.length ? rest : [...rest, unit] });
  }

  switchAllOn(): void {
    this.navigation.go({ off: [] });
  }

  isOff(layer: string, unit: number): boolean {
    return this.navigation.place.off.some(([name, number]) => name === layer && number === unit);
  }
}

/** If all names are just numbers, the classes are called "class 3" and so on. */
function withClassNames(subject: Subject): Subject {
  const numbered = subject.classes.every((name, number) => name === String(number));
  return numbered
    ? { ...subject, classes: subject.classes.map((name) => `class ${name}`) }
    : subject;
}

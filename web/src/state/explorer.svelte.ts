// The one state: where one is (mirrored in the address), the subject, and the pass of the image.
import * as client from "../source/server";
import type { LayerDetail, Layer, Pass, Progress, Subject, Unit } from "../api/wire";
import { above, format, misread, parse, START, type Place, type View } from "../model/address";

/** What the pointer or the cursor is on: a pixel box on the image that the picture panel shows. */
export type Box = readonly [top: number, left: number, bottom: number, right: number];

const TITLES: Record<View, string> = {
  network: "Network",
  layer: "Layer",
  channel: "Channel",
  card: "What a channel looks for",
  number: "Number",
  classifier: "Classifier",
  pathways: "Pathways",
  shift: "Shift laboratory",
  kernel: "Kernel playground",
};

interface Failure {
  readonly reason: string;
  readonly again: () => void;
}

export class Explorer {
  place: Place = $state.raw(START);
  subject: Subject | null = $state.raw(null);
  progress: Progress | null = $state.raw(null);
  /** The receptive field of what the pointer is on, drawn on the image; null: nothing. */
  field: Box | null = $state.raw(null);
  /** The address that was opened names a place of the map: nobody has gone anywhere since. */
  addressed = false;
  /** Said by screen readers when it changes. */
  said: string = $state("");
  choosing: boolean = $state(false);
  /** What of the opened address says nothing; null: all was understood. */
  misread: string | null = $state(null);

  /** Which pass the address asks for, as text: what is equal is asked for once. */
  readonly #asked: string | null = $derived.by(() => {
    const { image, target, off } = this.place;
    return image === null ? null : JSON.stringify({ image, target, off } satisfies client.Seen);
  });
  /** The pass that came last, with what it was asked for. */
  #arrived: { readonly asked: string; readonly seen: client.Seen; readonly pass: Pass } | null =
    $state.raw(null);
  readonly #fits = $derived(this.#arrived?.asked === this.#asked ? this.#arrived : null);

  /** The pass that the address asks for; null until it has arrived. */
  readonly pass: Pass | null = $derived(this.#fits?.pass ?? null);
  /** What maps and numbers are asked for by: null until their pass has arrived. */
  readonly seen: client.Seen | null = $derived(this.#fits?.seen ?? null);
  /** The last pass of this image: to be shown, under its own labels, until the next one is there. */
  readonly last: Pass | null = $derived(
    this.#arrived?.pass.image === this.place.image ? this.#arrived.pass : null,
  );

  #failures: readonly Failure[] = $state.raw([]);
  readonly problem: string | null = $derived(this.#failures.at(-1)?.reason ?? null);
  /** The address asks for a pass that there is not. */
  lost: boolean = $state(false);

  layer: Layer | null = $derived.by(
    () => this.subject?.layers.find((layer) => layer.name === this.place.layer) ?? null,
  );

  #running: AbortController | null = null;
  #wanted: string | null = null;
  /** Takes away what was said of a dropped file, and of a pass. */
  #forget: () => void = () => undefined;
  #found: () => void = () => undefined;

  /** Reads the address, asks for the subject, and follows the browser's back and forward. */
  async start(): Promise<void> {
    this.place = parse(location.search);
    this.addressed = new URLSearchParams(location.search).has("at");
    this.misread = misread(location.search).join(", ") || null;
    window.addEventListener("popstate", () => this.#arrive(parse(location.search)));
    await this.load();
  }

  /** Asks for the subject, then for the pass. */
  async load(): Promise<void> {
    try {
      this.subject = named(await client.subject());
      this.#arrive(this.place);
    } catch (error) {
      this.fail(error, () => void this.load());
    }
  }

  /** Asks again for everything that failed. */
  retry(): void {
    const failed = this.#failures;
    this.#failures = [];
    for (const { again } of failed) again();
  }

  /** Lets go of what failed; it is not asked for again. */
  dismiss(): void {
    this.#failures = [];
  }

  /**
   * Shows an error, unless something was merely called off. `again` asks once more; what is given
   * back takes the error away, when nobody asks for that any more.
   */
  fail(error: unknown, again: () => void): () => void {
    if (error instanceof DOMException && error.name === "AbortError") return () => undefined;
    const reason = error instanceof Error ? error.message : String(error);
    const failure = { reason, again };
    this.#failures = [...this.#failures, failure];
    return () => {
      this.#failures = this.#failures.filter((one) => one !== failure);
    };
  }

  // Going somewhere. `go` makes a step that the browser's back button undoes, `move` does not.

  go(change: Partial<Place>): void {
    const next = { ...this.place, ...change };
    const elsewhere = next.view !== this.place.view || next.layer !== this.place.layer;
    if (elsewhere) next.more = change.more ?? null; // it means another thing there
    if (format(next) === format(this.place)) return;
    this.addressed = false;
    history.pushState(null, "", format(next) || location.pathname);
    this.#arrive(next);
  }

  move(change: Partial<Place>): void {
    const next = { ...this.place, ...change };
    history.replaceState(null, "", format(next) || location.pathname);
    this.#arrive(next);
  }

  /** The first image and the network, all units on: the way out of an address that leads nowhere. */
  restart(): void {
    this.go({ ...START, image: this.subject?.first ?? null });
  }

  up(): void {
    if (this.place.view !== "network") this.go(above(this.place));
  }

  /** Opens a layer; unit and cursor stay as far as they fit in it. */
  openLayer(layer: string, view: View = "layer"): void {
    const found = this.subject?.layers.find((one) => one.name === layer);
    if (!found) return;
    const [channels = 1, height = 1, width = 1] = found.shape;
    this.go({
      view,
      layer,
      unit: Math.min(this.place.unit, channels - 1),
      at: [Math.min(this.place.at[0], height - 1), Math.min(this.place.at[1], width - 1)],
      tab: null,
    });
  }

  openChannel(layer: string, unit: number): void {
    this.openLayer(layer, "channel");
    this.move({ unit });
  }

  openNumber(layer: string, unit: number, at: readonly [number, number] = this.place.at): void {
    this.openLayer(layer, "number");
    this.move({ unit, at });
  }

  setImage(image: string): void {
    this.choosing = false;
    this.#forget();
    // The class to compare with was the old image's; a shift or a place is as good on the new one.
    const more = this.place.view === "pathways" ? null : this.place.more;
    this.go({ image, target: null, off: [], more });
  }

  /** The class that a unit of a layer stands for; null where it stands for none. */
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
    const place = layer?.shape.length === 3 ? `channel ${unit}` : `unit ${unit}`;
    return name === null ? place : `${place}, ${name}`;
  }

  /** Switches a unit off, or on again. */
  toggle(unit: Unit): void {
    const rest = this.place.off.filter(
      ([layer, number]) => layer !== unit[0] || number !== unit[1],
    );
    this.go({ off: rest.length < this.place.off.length ? rest : [...rest, unit] });
  }

  allOn(): void {
    this.go({ off: [] });
  }

  isOff(layer: string, unit: number): boolean {
    return this.place.off.some(([name, number]) => name === layer && number === unit);
  }

  /** Takes a dropped file: sent to the server, opened. */
  async drop(file: File): Promise<void> {
    this.#forget();
    try {
      const most = this.subject?.upload_bytes ?? Infinity;
      if (file.size > most) {
        throw new Error(`${file.name} is over the limit of ${most.toLocaleString("en")} bytes.`);
      }
      this.setImage((await client.upload(file)).image);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const named = reason.includes(file.name) ? reason : `${file.name}: ${reason}`;
      this.#forget = this.fail(new Error(named), () => void this.drop(file));
    }
  }

  say(text: string): void {
    this.said = text;
  }

  /** Draws the receptive field of a unit at a place of a layer's map on the image. */
  showField(detail: LayerDetail | null, at: readonly [number, number] | null): void {
    const rows = at && detail?.rows?.[at[0]];
    const columns = at && detail?.columns?.[at[1]];
    this.field = rows && columns ? [rows[0], columns[0], rows[1], columns[1]] : null;
  }

  #arrive(place: Place): void {
    if (place.view !== this.place.view || place.layer !== this.place.layer) this.field = null;
    // An address without an image means the first one.
    this.place = place.image ? place : { ...place, image: this.subject?.first ?? null };
    document.title = [TITLES[place.view], place.layer, this.subject?.title, "convscope"]
      .filter(Boolean)
      .join(" · ");
    void this.#run();
  }

  async #run(): Promise<void> {
    const asked = this.#asked;
    if (!asked || !this.subject || asked === this.#wanted) return;
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.#wanted = asked;
    this.#found();
    this.lost = false;
    this.progress = { done: 0, of: 1 };
    const seen = JSON.parse(asked) as client.Seen;
    try {
      const tell = (progress: Progress): void => void (this.progress = progress);
      const pass = await client.pass(seen, tell, running.signal);
      this.#arrived = { asked, seen, pass };
    } catch (error) {
      if (running.signal.aborted) return;
      this.#wanted = null;
      this.lost = true;
      this.#found = this.fail(error, () => void this.#run());
    }
    if (this.#running === running) this.progress = null;
  }
}

/** Classes that have only their number for a name are called "class 3". */
function named(subject: Subject): Subject {
  const bare = subject.classes.every((name, place) => name === String(place));
  return bare ? { ...subject, classes: subject.classes.map((name) => `class ${name}`) } : subject;
}

export const explorer = new Explorer();

// The one state: where one is (mirrored in the address), the subject, and the pass of the image.
import * as client from "../api/client";
import type { LayerDetail, Layer, Pass, Progress, Subject, Unit } from "../api/wire";
import {
  above,
  format,
  parse,
  START,
  type Order,
  type Place,
  type Scale,
  type View,
} from "../model/address";

/** What the pointer or the cursor is on: a pixel box on the image that the picture panel shows. */
export type Box = readonly [top: number, left: number, bottom: number, right: number];

const TITLES: Record<View, string> = {
  network: "Network",
  layer: "Layer",
  channel: "Channel",
  number: "Number",
  classifier: "Classifier",
  kernel: "Kernel playground",
};

export class Explorer {
  place: Place = $state.raw(START);
  subject: Subject | null = $state.raw(null);
  pass: Pass | null = $state.raw(null);
  progress: Progress | null = $state.raw(null);
  problem: string | null = $state(null);
  /** The receptive field of what the pointer is on, drawn on the image; null: nothing. */
  field: Box | null = $state.raw(null);
  /** Said by screen readers when it changes. */
  said: string = $state("");
  choosing: boolean = $state(false);

  /** What the maps and numbers on the page belong to. */
  seen: client.Seen | null = $derived.by(() => {
    const { image, target, off } = this.place;
    const next = image === null ? null : { image, target, off };
    // The same object while it says the same: other steps ask for nothing again.
    if (JSON.stringify(next) !== JSON.stringify(this.#seen)) this.#seen = next;
    return this.#seen;
  });
  layer: Layer | null = $derived.by(
    () => this.subject?.layers.find((layer) => layer.name === this.place.layer) ?? null,
  );

  #seen: client.Seen | null = null;
  #running: AbortController | null = null;
  #wanted = "";

  /** Reads the address, asks for the subject, and follows the browser's back and forward. */
  async start(): Promise<void> {
    this.place = parse(location.search);
    window.addEventListener("popstate", () => this.#arrive(parse(location.search)));
    await this.load();
  }

  /** Asks for the subject and the pass; after a failure, again. */
  async load(): Promise<void> {
    try {
      this.problem = null;
      this.subject = await client.subject();
      this.#arrive(this.place);
    } catch (error) {
      this.#fail(error);
    }
  }

  // Going somewhere. `go` makes a step that the browser's back button undoes, `move` does not.

  go(change: Partial<Place>): void {
    const next = { ...this.place, ...change };
    if (format(next) === format(this.place)) return;
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

  setScale(scale: Scale): void {
    this.move({ scale });
  }

  setOrder(order: Order): void {
    this.move({ order });
  }

  setImage(image: string): void {
    this.choosing = false;
    this.go({ image, target: null, off: [] });
  }

  setTarget(target: number | null): void {
    this.go({ target });
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
    const most = this.subject?.upload_bytes ?? Infinity;
    if (file.size > most) {
      this.problem = `${file.name} is over the limit of ${most.toLocaleString("en")} bytes.`;
      return;
    }
    try {
      this.setImage((await client.upload(file)).image);
    } catch (error) {
      this.#fail(error);
    }
  }

  say(text: string): void {
    this.said = text;
  }

  /** Shows an error, unless something was merely called off. */
  report(error: unknown): void {
    this.#fail(error);
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
    const asked = this.seen;
    const key = JSON.stringify(asked);
    if (!asked || !this.subject || key === this.#wanted) return;
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.#wanted = key;
    // What is known of another image must not stand beside this one.
    if (this.pass?.image !== asked.image) this.pass = null;
    this.progress = { done: 0, of: 1 };
    this.problem = null;
    try {
      this.pass = await client.pass(
        asked,
        (progress) => (this.progress = progress),
        running.signal,
      );
    } catch (error) {
      if (running.signal.aborted) return;
      this.#wanted = "";
      this.pass = null;
      this.#fail(error);
    }
    if (this.#running === running) this.progress = null;
  }

  #fail(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    this.problem = error instanceof Error ? error.message : String(error);
  }
}

export const explorer = new Explorer();

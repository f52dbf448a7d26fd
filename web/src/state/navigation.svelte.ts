// The current view and its parameters (the place), which are also in the address. `go` adds an entry to
// the browser's history, `move` replaces the current one.
import type { Addresses, Change, Place, ViewName, ViewParameters } from "../model/address";

export class Navigation {
  place: Place = $state.raw() as Place;
  /** The image if the address does not name one. */
  defaultImage: string | null = null;
  /** Whether the opened address names a position and the user has not moved since. */
  positionGiven = false;
  /** The parts of the opened address that are not understood; null if there are none. */
  unknown: string | null = $state(null);
  /** The parameters of views that keep them while another view is open. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- no component reads it
  readonly #remembered = new Map<ViewName, ViewParameters[ViewName]>();
  readonly #addresses: Addresses;
  readonly #changed: () => void;

  /** `changed` is called after every change of the place. */
  constructor(addresses: Addresses, changed: () => void) {
    this.#addresses = addresses;
    this.#changed = changed;
    this.place = addresses.start;
  }

  /** Reads the address, and follows the browser's back and forward. */
  start(): void {
    this.place = this.#addresses.parse(location.search);
    this.positionGiven = new URLSearchParams(location.search).has("at");
    this.unknown = this.#addresses.unknown(location.search).join(", ") || null;
    window.addEventListener("popstate", () => this.arrive(this.#addresses.parse(location.search)));
  }

  /** The own parameters of a view: from the address if it is the current view, otherwise the defaults. */
  own<V extends ViewName>(view: V): ViewParameters[V] {
    const { place } = this;
    const own = place.view === view ? place.own : this.#addresses.view(view).parameters.defaults;
    return own as ViewParameters[V];
  }

  go(change: Change): void {
    this.#goTo(this.#next(change));
  }

  move(change: Change): void {
    this.#replace(this.#next(change));
  }

  /** Another unit in the same view; the own parameters get their defaults. */
  moveToUnit(unit: number): void {
    const { defaults } = this.#addresses.view(this.place.view).parameters;
    this.#replace({ ...this.place, unit, own: defaults } as Place);
  }

  #replace(next: Place): void {
    history.replaceState(null, "", this.#addresses.format(next) || location.pathname);
    this.arrive(next);
  }

  /** One level up. */
  up(): void {
    const { view } = this.place;
    if (view !== this.#addresses.start.view) this.#goTo(this.#addresses.parent(this.place));
  }

  /** The first view and the first image, all units on. */
  restart(): void {
    this.#goTo({ ...this.#addresses.start, image: this.defaultImage });
  }

  arrive(place: Place): void {
    const before = this.place;
    if (before.view !== place.view) this.#remembered.set(before.view, before.own);
    this.place = place.image ? place : { ...place, image: this.defaultImage };
    this.#changed();
  }

  #next(change: Change): Place {
    const view = change.view ?? this.place.view;
    const kept = this.#addresses.view(view).keep === "view";
    const remembered = kept && view !== this.place.view ? this.#remembered.get(view) : undefined;
    return this.#addresses.change(this.place, change, remembered);
  }

  #goTo(next: Place): void {
    const address = this.#addresses.format(next);
    if (address === this.#addresses.format(this.place)) return;
    this.positionGiven = false;
    history.pushState(null, "", address || location.pathname);
    this.arrive(next);
  }
}

// For component tests: the whole page on a fake source.
import { configure, render, screen, waitFor } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, expect } from "vitest";
import App from "./App.svelte";
import { lenses } from "./lenses/catalog";
import { FakeSource } from "./source/fake";
import { contextOf } from "./state/context";
import { Explorer } from "./state/explorer.svelte";
import { levels } from "./views/catalog";

// Long timeouts, because the machine may be busy; short messages, without the whole page.
configure({
  asyncUtilTimeout: 5000,
  getElementError: (message) => new Error(message ?? ""),
});

/** The size of the page in CSS pixels; everything is visible. */
const SIZE = { clientWidth: 1000, clientHeight: 800 };
for (const [name, value] of Object.entries(SIZE)) {
  Object.defineProperty(HTMLElement.prototype, name, { configurable: true, get: () => value });
}
HTMLCanvasElement.prototype.getContext = () => null; // tests draw nothing
window.IntersectionObserver = class {
  constructor(private readonly seen: IntersectionObserverCallback) {}
  observe(): void {
    const entry = { isIntersecting: true } as IntersectionObserverEntry;
    this.seen([entry], this as unknown as IntersectionObserver);
  }
  disconnect(): void {}
} as unknown as typeof IntersectionObserver;
/** Reduced motion: nothing starts by itself. */
window.matchMedia = (query: string) => ({ matches: query.includes("reduce") }) as MediaQueryList;

afterEach(() => history.replaceState(null, "", "/"));

/** Opens the page at an address, "view=layer&layer=conv". */
export async function open(address: string, source = new FakeSource()) {
  history.replaceState(null, "", `/?${address}`);
  const explorer = new Explorer(source, [...levels, ...lenses]);
  render(App, { context: contextOf(explorer) });
  await explorer.start();
  await waitFor(() => expect(document.querySelector("main > *")).not.toBeNull());
  return { explorer, source };
}

/** What the main part of the page says, in one line. */
export const mainText = (): string =>
  (document.querySelector("main")?.textContent ?? "").replace(/\s+/g, " ").trim();

export const says = (text: string | RegExp): Promise<void> =>
  waitFor(() => expect(mainText()).toMatch(text instanceof RegExp ? text : literal(text)));

const literal = (text: string): RegExp => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));

export const addressSays = (text: string): Promise<void> =>
  waitFor(() => expect(decodeURIComponent(location.search)).toContain(text));

/** Clicks a button by its name. */
export async function click(name: string | RegExp): Promise<void> {
  (await screen.findByRole("button", { name })).click();
  await tick();
}

/** Presses a key where the focus is, or on an element. */
export async function press(key: string, target: Element | null = null): Promise<void> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  (target ?? document.activeElement ?? document.body).dispatchEvent(event);
  await tick();
}

/** Goes to an address as the browser's back button does. */
export async function popTo(address: string): Promise<void> {
  history.replaceState(null, "", `/?${address}`);
  window.dispatchEvent(new PopStateEvent("popstate"));
  await tick();
}

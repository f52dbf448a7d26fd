// Requests to the server. Every function may be given an AbortSignal; what fails throws a Refusal.
import type {
  Filtered,
  Filtering,
  Gallery,
  Layer,
  LayerDetail,
  LayerValues,
  Ledger,
  OutputSize,
  Pass,
  PassLine,
  Picture,
  Prediction,
  Preset,
  Progress,
  Subject,
  Unit,
} from "../api/wire";

/** The server's reason, or that there is no server; `status` 0 means that nothing answered. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Maps as one array: `count` of them, each `height` x `width`, row by row. */
export interface Maps {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly values: Float32Array;
}

/** What a pass depends on: the image, the class in question, the units that are switched off. */
export interface Seen {
  readonly image: string;
  readonly target: number | null;
  readonly off: readonly Unit[];
}

type Query = Record<string, string | number | null | undefined>;

const NO_SERVER =
  "convscope does not answer. If you stopped it, start it again and open the address that it prints.";

export function address(route: string, query: Query = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) given.set(name, String(value));
  }
  const text = given.toString();
  return text ? `${route}?${text}` : route;
}

export function seen(pass: Seen): Query {
  return {
    image: pass.image,
    target: pass.target,
    off: pass.off.length ? JSON.stringify(pass.off) : null,
  };
}

export async function answer(url: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, NO_SERVER);
  }
  if (!response.ok) throw new Refusal(response.status, await reason(response));
  return response;
}

async function reason(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "error" in body) return String(body.error);
  } catch {
    // No JSON: the status must do.
  }
  return response.status === 401 || response.status === 403
    ? "This page is no longer let in: open the address that convscope printed."
    : `The server answered ${response.status}.`;
}

export async function json<T>(url: string, options: RequestInit = {}): Promise<T> {
  return (await (await answer(url, options)).json()) as T;
}

export function aborting(signal: AbortSignal | undefined): RequestInit {
  return signal ? { signal } : {};
}

const recalled = new Map<string, Promise<unknown>>();

/** What does not change while the server runs is asked for once; a failure is not remembered. */
export function once<T>(url: string): Promise<T> {
  const before = recalled.get(url);
  if (before) return before as Promise<T>;
  const asked = json<T>(url);
  recalled.set(url, asked);
  asked.catch(() => recalled.delete(url));
  return asked;
}

export const subject = (): Promise<Subject> => once("/api/subject");

export const layerDetail = (layer: string): Promise<LayerDetail> =>
  once(address("/api/layer", { layer }));

export const presets = (): Promise<Preset[]> => once("/api/presets");

export const gallery = (
  query: { split: string | null; label: number | null; offset: number; limit: number },
  signal?: AbortSignal,
): Promise<Gallery> => json(address("/api/gallery", query), aborting(signal));

export const predictions = (images: string[], signal?: AbortSignal): Promise<Prediction[]> =>
  json(address("/api/predictions", { images: images.join(",") }), aborting(signal));

export const pictureAddress = (image: string, size: "thumb" | "input" | "whole"): string =>
  address("/api/picture", { image, size });

export const upload = (file: File): Promise<Picture> =>
  json("/api/images", {
    method: "POST",
    body: file,
    headers: {
      "Content-Type": "application/octet-stream",
      "X-Name": encodeURIComponent(file.name),
    },
  });

export const values = (pass: Seen, layer: string, signal?: AbortSignal): Promise<LayerValues> =>
  json(address("/api/values", { ...seen(pass), layer }), aborting(signal));

export const number = (
  pass: Seen,
  layer: string,
  index: readonly number[],
  limit = 200,
  signal?: AbortSignal,
): Promise<Ledger> =>
  json(
    address("/api/number", { ...seen(pass), layer, index: index.join(","), limit }),
    aborting(signal),
  );

export const filter = (asked: Filtering, signal?: AbortSignal): Promise<Filtered> =>
  json("/api/filter", {
    method: "POST",
    body: JSON.stringify(asked),
    headers: { "Content-Type": "application/json" },
    ...aborting(signal),
  });

export const outputSize = (query: {
  size: number;
  kernel: number;
  stride: number;
  padding: number;
  dilation: number;
}): Promise<OutputSize> => json(address("/api/output_size", query));

/** One pass of an image, with its progress on the way. Aborting ends it in the server too. */
export async function pass(
  asked: Seen,
  progress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Pass> {
  const response = await answer(address("/api/pass", seen(asked)), { signal });
  if (!response.body) throw new Refusal(0, NO_SERVER);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Refusal(0, NO_SERVER);
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines.filter(Boolean)) {
      const line = JSON.parse(text) as PassLine;
      if (line.error) throw new Refusal(422, line.error);
      if (line.result) return line.result;
      if (line.progress) progress(line.progress);
    }
  }
}

export async function maps(url: string): Promise<Maps> {
  const response = await answer(url);
  const [count = 0, height = 0, width = 0] = (response.headers.get("X-Shape") ?? "")
    .split(",")
    .map(Number);
  return { count, height, width, values: new Float32Array(await response.arrayBuffer()) };
}

const CACHE_BYTES = 256 * 2 ** 20;
const kept = new Map<string, { maps: Promise<Maps>; bytes: number }>();
let keptBytes = 0;

/** Maps by their address, the latest 256 MB of them kept. */
function remembered(url: string): Promise<Maps> {
  const found = kept.get(url);
  if (found) {
    kept.delete(url); // and in again, as the latest
    kept.set(url, found);
    return found.maps;
  }
  const entry = { maps: maps(url), bytes: 0 };
  kept.set(url, entry);
  entry.maps.then(
    (loaded) => {
      if (kept.get(url) !== entry) return; // let go while it was on its way
      entry.bytes = loaded.values.byteLength;
      keptBytes += entry.bytes;
      for (const [old, { bytes }] of kept) {
        if (keptBytes <= CACHE_BYTES || old === url) break;
        kept.delete(old);
        keptBytes -= bytes;
      }
    },
    () => kept.delete(url),
  );
  return entry.maps;
}

/** Maps are the same whichever class is in question: for another one they are not asked for again. */
const anyTarget = (pass: Seen): Query => seen({ ...pass, target: null });

/** "0-31" of numbers that follow one another, else "3,5,7". */
const list = (numbers: readonly number[]): string => {
  const [first = 0] = numbers;
  const counted = numbers.length > 1 && numbers.every((number, i) => number === first + i);
  return counted ? `${first}-${first + numbers.length - 1}` : numbers.join(",");
};

/** Activation maps of a layer, as they are asked for; a vector's units are maps of one pixel. */
export const activationMaps = (
  pass: Seen,
  layer: string,
  channels: readonly number[],
): Promise<Maps> =>
  remembered(address("/api/maps", { ...anyTarget(pass), layer, channels: list(channels) }));

/** All units of a vector. */
export const units = (pass: Seen, layer: Pick<Layer, "name" | "shape">): Promise<Maps> =>
  activationMaps(
    pass,
    layer.name,
    Array.from({ length: layer.shape[0] ?? 1 }, (_, i) => i),
  );

/** Kernels of a filter, by its own input channels, counted from 0 within its group. */
export const kernels = (layer: string, channel: number, inputs: readonly number[]): Promise<Maps> =>
  remembered(address("/api/kernels", { layer, channel, inputs: list(inputs) }));

/** What each of these input channels adds to a convolution's map, before bias. */
export const parts = (
  pass: Seen,
  layer: string,
  channel: number,
  inputs: readonly number[],
): Promise<Maps> =>
  remembered(address("/api/parts", { ...anyTarget(pass), layer, channel, inputs: list(inputs) }));

/** One of several maps. */
export function mapOf(maps: Maps, place: number): Float32Array {
  const size = maps.height * maps.width;
  return maps.values.subarray(place * size, (place + 1) * size);
}

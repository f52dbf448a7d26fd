// The source that sends requests to the explorer's server.
import createClient from "openapi-fetch";
import type { paths } from "../api/types";
import type { Pass, PassLine, Progress } from "../api/wire";
import type { Maps } from "../model/maps";
import { numberList, offParameter } from "../model/query";
import { RequestError } from "../model/request-error";
import { BoundedCache } from "./cache";
import type { Answer, Body, JsonRoute, MapsRoute, PassRequest, PictureRoute, PostRoute, Query, Source } from "./source"; // prettier-ignore

const NO_SERVER =
  "convscope does not answer. If you stopped it, start it again and open the address that it prints.";
const MAP_BYTES = 256 * 2 ** 20;
const NUMBERS = 400;

interface Received<T> {
  readonly data?: T;
  readonly response: Response;
}

type Routed = (route: string, options: unknown) => Promise<Received<never>>;

export class ServerSource implements Source {
  readonly #client = createClient<paths>({ baseUrl: location.origin, fetch: fetched });
  /** The same client for routes that are not known here; the interface `Source` types their answers. */
  readonly #get = this.#client.GET as Routed;
  readonly #post = this.#client.POST as Routed;
  readonly #constant = new BoundedCache<unknown>(Infinity, () => 0);
  readonly #maps = new BoundedCache<Maps>(MAP_BYTES, (maps) => maps.values.byteLength);
  readonly #numbers = new BoundedCache<Answer<"/api/number">>(NUMBERS, () => 1);

  subject() {
    return this.lensOnce("/api/subject", undefined);
  }

  layerDetail(layer: string) {
    return this.lensOnce("/api/layer", { layer });
  }

  async pass(
    request: PassRequest,
    progress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Pass> {
    const { data } = await this.#client.GET("/api/pass", {
      params: { query: passQuery(request) },
      parseAs: "stream",
      signal,
    });
    if (!data) throw new RequestError(0, NO_SERVER);
    return lastLine(data as unknown as ReadableStream<BufferSource>, progress);
  }

  values(request: PassRequest, layer: string, signal?: AbortSignal) {
    return this.lens("/api/values", { ...passQuery(request), layer }, signal);
  }

  /** The latest few hundred numbers that nobody can cancel are kept. */
  number(
    request: PassRequest,
    layer: string,
    index: readonly number[],
    limit: number,
    signal?: AbortSignal,
  ) {
    const query = { ...passQuery(request), layer, index: index.join(","), limit };
    if (signal) return this.lens("/api/number", query, signal);
    return this.#numbers.get(JSON.stringify(query), () => this.lens("/api/number", query));
  }

  maps(request: PassRequest, layer: string, channels: readonly number[]) {
    const query = { ...mapsQuery(request), layer, channels: numberList(channels) };
    return this.#keptMaps("/api/maps", query);
  }

  kernels(layer: string, channel: number, inputs: readonly number[]) {
    return this.#keptMaps("/api/kernels", { layer, channel, inputs: numberList(inputs) });
  }

  parts(request: PassRequest, layer: string, channel: number, inputs: readonly number[]) {
    const query = { ...mapsQuery(request), layer, channel, inputs: numberList(inputs) };
    return this.#keptMaps("/api/parts", query);
  }

  gallery(query: Query<"/api/gallery">, signal?: AbortSignal) {
    return this.lens("/api/gallery", query, signal);
  }

  predictions(images: readonly string[], signal?: AbortSignal) {
    return this.lens("/api/predictions", { images: images.join(",") }, signal);
  }

  async upload(file: File) {
    return present(
      await this.#client.POST("/api/images", {
        body: file,
        bodySerializer: (body) => body as File,
        headers: {
          "Content-Type": "application/octet-stream",
          "X-Name": encodeURIComponent(file.name),
        },
      }),
    );
  }

  image(image: string, size: "thumb" | "input" | "whole"): string {
    return this.picture("/api/picture", { image, size });
  }

  async lens<R extends JsonRoute>(
    route: R,
    query: Query<R>,
    signal?: AbortSignal,
  ): Promise<Answer<R>> {
    return present(await this.#get(route, { params: { query }, ...(signal && { signal }) }));
  }

  lensOnce<R extends JsonRoute>(route: R, query: Query<R>): Promise<Answer<R>> {
    const key = JSON.stringify([route, query]);
    return this.#constant.get(key, () => this.lens(route, query)) as Promise<Answer<R>>;
  }

  async lensPost<R extends PostRoute>(
    route: R,
    body: Body<R>,
    signal?: AbortSignal,
  ): Promise<Answer<R>> {
    return present(await this.#post(route, { body, ...(signal && { signal }) }));
  }

  async lensMaps<R extends MapsRoute>(route: R, query: Query<R>): Promise<Maps> {
    const received = await this.#get(route, { params: { query }, parseAs: "arrayBuffer" });
    const shape = (received.response.headers.get("X-Shape") ?? "").split(",").map(Number);
    const [count = 0, height = 0, width = 0] = shape;
    return { count, height, width, values: new Float32Array(present<ArrayBuffer>(received)) };
  }

  picture<R extends PictureRoute>(route: R, query: Query<R>): string {
    const given = Object.entries(query ?? {}).flatMap(([name, value]) =>
      value === null || value === undefined ? [] : [[name, String(value)]],
    );
    return `${route}?${new URLSearchParams(given).toString()}`;
  }

  async pictureLoaded(address: string): Promise<void> {
    const picture = new Image();
    picture.src = address;
    await picture.decode().catch(() => undefined);
  }

  #keptMaps<R extends MapsRoute>(route: R, query: Query<R>): Promise<Maps> {
    return this.#maps.get(JSON.stringify([route, query]), () => this.lensMaps(route, query));
  }
}

const passQuery = ({ image, target, off }: PassRequest) => ({
  image,
  target,
  off: offParameter(off),
});

/** Maps do not depend on the target class, so another target does not request them again. */
const mapsQuery = ({ image, off }: PassRequest) => ({ image, off: offParameter(off) });

function present<T>({ data }: Received<T>): T {
  if (data === undefined) throw new RequestError(0, NO_SERVER);
  return data;
}

async function fetched(request: Request): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestError(0, NO_SERVER);
  }
  if (!response.ok) throw new RequestError(response.status, await reason(response));
  return response;
}

async function reason(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "error" in body) return String(body.error);
  } catch {
    // Not JSON: the message has only the status.
  }
  return response.status === 401 || response.status === 403
    ? "This page may not use the server any more: open the address that convscope printed."
    : `The server answered ${response.status}.`;
}

/** Reads lines of progress until the one that has the result. */
async function lastLine(
  stream: ReadableStream<BufferSource>,
  progress: (progress: Progress) => void,
): Promise<Pass> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new RequestError(0, NO_SERVER);
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines.filter(Boolean)) {
      const line = JSON.parse(text) as PassLine;
      if (line.error) throw new RequestError(422, line.error);
      if (line.result) return line.result;
      if (line.progress) progress(line.progress);
    }
  }
}

// A source for component tests: it answers for the example network, can wait and fail, and records
// what was requested.
import type { Picture, Subject } from "../api/wire";
import { RequestError } from "../model/request-error";
import { detailOf, ledgerOf, mapsOf, passOf, SUBJECT, valuesOf } from "./example";
import type { Answer, JsonRoute, PassRequest, PictureRoute, PostRoute, Query, Source } from "./source"; // prettier-ignore
import type { MapsRoute } from "./source";

/** Answers of the routes that lenses request, from their query or body. */
export type LensAnswers = {
  readonly [R in JsonRoute | PostRoute]?: (query: Record<string, unknown>) => Answer<R>;
};

const UNITS = [0, 1, 2, 3, 4];

export class FakeSource implements Source {
  /** What was requested, in order: the method or the route. */
  readonly requests: string[] = [];
  /** What fails with "it went wrong": the method or the route. */
  readonly failing = new Set<string>();
  readonly #lenses: LensAnswers;
  readonly #subject: Subject;
  readonly #waiting: (() => void)[] = [];
  #held: ((name: string) => boolean) | null = null;

  constructor(lenses: LensAnswers = {}, subject: Subject = SUBJECT) {
    this.#lenses = lenses;
    this.#subject = subject;
  }

  /** Holds back all answers, or those of these names, until `release`. */
  hold(...names: string[]): void {
    this.#held = (name) => !names.length || names.includes(name);
  }

  release(): void {
    this.#held = null;
    for (const answer of this.#waiting.splice(0)) answer();
  }

  async #answer<T>(name: string, answer: () => T, signal?: AbortSignal): Promise<T> {
    this.requests.push(name);
    if (this.#held?.(name)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (signal?.aborted) throw new DOMException("cancelled", "AbortError");
    if (this.failing.has(name)) throw new RequestError(500, "it went wrong");
    return answer();
  }

  subject() {
    return this.#answer("subject", () => this.#subject);
  }

  layerDetail(layer: string) {
    return this.#answer("layerDetail", () => detailOf(layer));
  }

  pass(request: PassRequest, _progress: unknown, signal: AbortSignal) {
    const trunk = { logits: [], probabilities: [], predicted: null, target: null };
    const classes = this.#subject.classes.length > 0;
    const answer = () => ({ ...passOf(request), ...(classes ? {} : trunk) });
    return this.#answer("pass", answer, signal);
  }

  values(request: PassRequest, layer: string, signal?: AbortSignal) {
    return this.#answer("values", () => valuesOf(request, layer), signal);
  }

  number(
    request: PassRequest,
    layer: string,
    index: readonly number[],
    _limit: number,
    signal?: AbortSignal,
  ) {
    return this.#answer("number", () => ledgerOf(request, layer, index), signal);
  }

  maps(request: PassRequest, layer: string, channels: readonly number[]) {
    return this.#answer("maps", () => mapsOf(request, layer, channels));
  }

  kernels(_layer: string, channel: number, inputs: readonly number[]) {
    const values = new Float32Array(9 * inputs.length).fill(channel + 0.5);
    return this.#answer("kernels", () => ({ count: inputs.length, height: 3, width: 3, values }));
  }

  parts(request: PassRequest, layer: string, channel: number, inputs: readonly number[]) {
    return this.#answer("parts", () => {
      const one = mapsOf(request, layer, [channel]);
      const values = inputs.flatMap((input) => [...one.values].map((value) => value - input));
      return { ...one, count: inputs.length, values: Float32Array.from(values) };
    });
  }

  gallery(query: Query<"/api/gallery">, signal?: AbortSignal) {
    const pictures = UNITS.map((number): Picture => ({
      image: `data-${number}`,
      name: `data-${number}.png`,
      split: "test",
      label: number,
    }));
    const split = { name: "test", images: pictures.length };
    return this.#answer(
      "gallery",
      () => ({ offset: query?.offset ?? 0, pictures, split: "test", splits: [split], total: 5 }),
      signal,
    );
  }

  predictions(images: readonly string[], signal?: AbortSignal) {
    const row = (image: string) => ({ image, predicted: 1, probability: 0.5, error: null });
    return this.#answer("predictions", () => images.map(row), signal);
  }

  upload(file: File) {
    const picture = { image: "drop-1", name: file.name, split: "", label: null };
    return this.#answer("upload", () => picture);
  }

  image(image: string, size: string): string {
    return `/${size}/${image}`;
  }

  lens<R extends JsonRoute>(route: R, query: Query<R>, signal?: AbortSignal): Promise<Answer<R>> {
    return this.#lens(route, { ...(query as object) }, signal);
  }

  lensOnce<R extends JsonRoute>(route: R, query: Query<R>): Promise<Answer<R>> {
    return this.#lens(route, { ...(query as object) });
  }

  lensPost<R extends PostRoute>(route: R, body: unknown, signal?: AbortSignal): Promise<Answer<R>> {
    return this.#lens(route, { ...(body as object) }, signal);
  }

  lensMaps<R extends MapsRoute>(route: R) {
    return this.#answer(route, () =>
      mapsOf({ image: route, target: null, off: [] }, "pool", UNITS),
    );
  }

  picture<R extends PictureRoute>(route: R, query: Query<R>): string {
    return `${route}?${JSON.stringify(query)}`;
  }

  pictureLoaded(): Promise<void> {
    return Promise.resolve();
  }

  #lens<R extends JsonRoute | PostRoute>(
    route: R,
    query: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<Answer<R>> {
    const answer = this.#lenses[route] as ((query: unknown) => Answer<R>) | undefined;
    if (!answer)
      return Promise.reject(new RequestError(404, `the test has no answer for ${route}`));
    return this.#answer(route, () => answer(query), signal);
  }
}

// The interface through which the page gets its values and pictures. Every failure is a RequestError.
import type {
  Gallery,
  LayerDetail,
  LayerValues,
  Ledger,
  Pass,
  Picture,
  Prediction,
  Progress,
  Subject,
  Unit,
} from "../api/wire";
import type { paths } from "../api/types";
import type { Maps } from "../model/maps";

/** What a pass depends on: the image, the target class, and the units that are switched off. */
export interface PassRequest {
  readonly image: string;
  readonly target: number | null;
  readonly off: readonly Unit[];
}

type Method = "get" | "post";
/** The routes whose answer has a content type, by method. */
type RouteOf<M extends Method, Type extends string> = {
  [R in keyof paths]: paths[R] extends Record<
    M,
    { responses: { 200: { content: Record<Type, unknown> } } }
  >
    ? R
    : never;
}[keyof paths];
export type JsonRoute = RouteOf<"get", "application/json">;
export type PostRoute = RouteOf<"post", "application/json">;
export type MapsRoute = RouteOf<"get", "application/octet-stream">;
export type PictureRoute = RouteOf<"get", "image/png">;

/** The query parameters of a route. */
export type Query<R extends keyof paths> = paths[R] extends {
  get: { parameters: { query?: infer Q } };
}
  ? [Q] extends [never]
    ? undefined
    : Q
  : never;
export type Body<R extends PostRoute> = paths[R] extends {
  post: { requestBody: { content: { "application/json": infer B } } };
}
  ? B
  : never;
export type Answer<R extends JsonRoute | PostRoute> = paths[R] extends
  | { get: { responses: { 200: { content: { "application/json": infer A } } } } }
  | { post: { responses: { 200: { content: { "application/json": infer A } } } } }
  ? A
  : never;

export interface Source {
  subject(): Promise<Subject>;
  layerDetail(layer: string): Promise<LayerDetail>;
  /** One pass of an image, with its progress on the way. Aborting also stops it on the server. */
  pass(
    request: PassRequest,
    progress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Pass>;
  values(request: PassRequest, layer: string, signal?: AbortSignal): Promise<LayerValues>;
  /** How a number is computed, with at most `limit` terms. */
  number(
    request: PassRequest,
    layer: string,
    index: readonly number[],
    limit: number,
    signal?: AbortSignal,
  ): Promise<Ledger>;
  /** Activation maps of channels; the units of a vector are maps of one pixel. */
  maps(request: PassRequest, layer: string, channels: readonly number[]): Promise<Maps>;
  /** Kernels of a filter, by its input channels, counted from 0 within its group. */
  kernels(layer: string, channel: number, inputs: readonly number[]): Promise<Maps>;
  /** What each of these input channels adds to a convolution's map, before bias. */
  parts(
    request: PassRequest,
    layer: string,
    channel: number,
    inputs: readonly number[],
  ): Promise<Maps>;
  gallery(query: Query<"/api/gallery">, signal?: AbortSignal): Promise<Gallery>;
  predictions(images: readonly string[], signal?: AbortSignal): Promise<Prediction[]>;
  upload(file: File): Promise<Picture>;
  /** The address of an image's picture, for <img>. */
  image(image: string, size: "thumb" | "input" | "whole"): string;

  // For lenses, each of which has its requests in `requests.ts`.

  lens<R extends JsonRoute>(route: R, query: Query<R>, signal?: AbortSignal): Promise<Answer<R>>;
  /** An answer that does not change while the server runs: it is requested once. */
  lensOnce<R extends JsonRoute>(route: R, query: Query<R>): Promise<Answer<R>>;
  lensPost<R extends PostRoute>(route: R, body: Body<R>, signal?: AbortSignal): Promise<Answer<R>>;
  lensMaps<R extends MapsRoute>(route: R, query: Query<R>): Promise<Maps>;
  /** The address of a picture, for <img>. */
  picture<R extends PictureRoute>(route: R, query: Query<R>): string;
  /** Settles when the picture of an address can be shown, or cannot be loaded. */
  pictureLoaded(address: string): Promise<void>;
}

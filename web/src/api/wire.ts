// The server's answers by their names. `types.ts` is generated from the server's schema.
import type { components } from "./types";

export type Schemas = components["schemas"];
export type Field = Schemas["Field"];
export type Gallery = Schemas["Gallery"];
export type Layer = Schemas["Layer"];
export type LayerDetail = Schemas["LayerDetail"];
export type LayerPass = Schemas["LayerPass"];
export type LayerValues = Schemas["LayerValues"];
export type Ledger = Schemas["Number"];
export type Parameter = Schemas["Parameter"];
export type Pass = Schemas["Pass"];
export type PassLine = Schemas["PassLine"];
export type Picture = Schemas["Picture"];
export type Prediction = Schemas["Prediction"];
export type Progress = Schemas["Progress"];
export type TermSource = Schemas["Source"];
export type Subject = Schemas["Subject"];
/** A unit of a layer by name and number. */
export type Unit = readonly [layer: string, unit: number];

// The server's answers by their names. `types.ts` is generated from the server's schema.
import type { components } from "./types";

type Schemas = components["schemas"];
export type Card = Schemas["Card"];
export type Field = Schemas["Field"];
export type Filtered = Schemas["Filtered"];
export type Filtering = Schemas["Filtering"];
export type Gallery = Schemas["Gallery"];
export type Layer = Schemas["Layer"];
export type LayerDetail = Schemas["LayerDetail"];
export type LayerPass = Schemas["LayerPass"];
export type LayerValues = Schemas["LayerValues"];
export type Ledger = Schemas["Number"];
export type OutputSize = Schemas["OutputSize"];
export type Parameter = Schemas["Parameter"];
export type Pass = Schemas["Pass"];
export type PassLine = Schemas["PassLine"];
export type Picture = Schemas["Picture"];
export type Prediction = Schemas["Prediction"];
export type Preset = Schemas["Preset"];
export type Progress = Schemas["Progress"];
export type Projected = Schemas["Projected"];
export type Ranked = Schemas["Ranked"];
export type Source = Schemas["Source"];
export type Subject = Schemas["Subject"];
export type Winner = Schemas["Winner"];
export type WorkedCell = Schemas["WorkedCell"];
export type Unit = [layer: string, unit: number];

// Draws the units of a vector as cells, row by row; the rest of the last row stays empty.
import { paint, type Range } from "../model/colours";

export function drawCells(
  canvas: HTMLCanvasElement,
  values: ArrayLike<number>,
  columns: number,
  range: Range,
): void {
  const rows = Math.ceil(values.length / columns);
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  if (!context || !rows) return;
  const picture = context.createImageData(columns, rows);
  paint(values, range, picture.data);
  context.putImageData(picture, 0, 0);
}

// Draws a map on a canvas, one pixel per value; CSS enlarges it.
import { paint, type Range } from "../model/colours";

export function drawMap(
  canvas: HTMLCanvasElement,
  values: ArrayLike<number>,
  height: number,
  width: number,
  range: Range,
): void {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (!context || !width || !height) return;
  const picture = context.createImageData(width, height);
  paint(values, range, picture.data);
  context.putImageData(picture, 0, 0);
}

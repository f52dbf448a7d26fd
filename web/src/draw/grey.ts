// Draws a grey picture, from 0 (black) to 255 (white), one pixel per value; CSS enlarges it.
export function drawGrey(canvas: HTMLCanvasElement, rows: readonly (readonly number[])[]): void {
  const height = rows.length;
  const width = rows[0]?.length ?? 0;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (!context || !width || !height) return;
  const picture = context.createImageData(width, height);
  let place = 0;
  for (const row of rows) {
    for (const value of row) {
      picture.data.fill(value, place, place + 3);
      picture.data[place + 3] = 255;
      place += 4;
    }
  }
  context.putImageData(picture, 0, 0);
}

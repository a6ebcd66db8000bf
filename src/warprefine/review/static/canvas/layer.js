// A label or confidence map as a picture of its own size, painted through a table of colours.

import { whole } from "../raster.js";

export class Layer {
  #context = document.createElement("canvas").getContext("2d");

  get canvas() {
    return this.#context.canvas;
  }

  /** Paint a map { values, width, height }, or only a rectangle of it that has changed. */
  paint(map, table, rect = whole(map)) {
    if (this.canvas.width !== map.width || this.canvas.height !== map.height) {
      Object.assign(this.canvas, { width: map.width, height: map.height });
      rect = whole(map); // a canvas that changes its size is empty
    }
    const [width, height] = [rect.x1 - rect.x0, rect.y1 - rect.y0];
    const pixels = new Uint32Array(width * height);
    for (let y = 0; y < height; y += 1) {
      const from = (rect.y0 + y) * map.width + rect.x0;
      for (let x = 0; x < width; x += 1) pixels[y * width + x] = table[map.values[from + x]];
    }
    const data = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
    this.#context.putImageData(data, rect.x0, rect.y0);
  }
}

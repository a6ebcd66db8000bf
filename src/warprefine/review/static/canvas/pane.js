// One picture with a layer over it, and what is drawn over both: brush, cursor, polygon.

export class Pane {
  picture = null;
  /** A canvas to draw over the picture, or null. */
  layer = null;
  opacity = 1;
  smooth = false;
  #context;
  #caption;

  constructor(figure) {
    this.figure = figure;
    this.#context = figure.querySelector("canvas").getContext("2d");
    this.#caption = figure.querySelector("figcaption");
  }

  get canvas() {
    return this.#context.canvas;
  }

  set caption(text) {
    this.#caption.textContent = text;
  }

  /** Take the size of the page's layout; return whether it is another one. */
  resize() {
    const ratio = window.devicePixelRatio;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((n) => Math.round(n * ratio));
    if (this.canvas.width === width && this.canvas.height === height) return false;
    Object.assign(this.canvas, { width, height });
    return true;
  }

  /** Draw all. `view` has scale and the place of the map's corner, in CSS pixels. */
  draw({ scale, x, y, width, height }, marks) {
    const context = this.#context;
    const ratio = window.devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    if (this.picture) {
      context.imageSmoothingEnabled = scale * ratio < 4; // nearer, the pixels themselves are of interest
      context.drawImage(this.picture, 0, 0, width, height);
    }
    if (this.layer) {
      context.imageSmoothingEnabled = this.smooth;
      context.globalAlpha = this.opacity;
      context.drawImage(this.layer, 0, 0, width, height);
      context.globalAlpha = 1;
    }
    context.translate(0.5, 0.5); // from here on, pixel centres are whole numbers
    for (const mark of marks) drawMark(context, mark, 1 / scale);
  }
}

// Dark below and light above, so that a mark is seen on every picture.
function outline(context, path, pixel) {
  for (const [style, width] of [["rgb(0 0 0 / 80%)", 3], ["#fff", 1.25]]) {
    context.strokeStyle = style;
    context.lineWidth = width * pixel;
    context.stroke(path);
  }
}

function drawMark(context, { points = [], ring = null, cross = null, closed = false }, pixel) {
  const path = new Path2D();
  points.forEach(([x, y], i) => (i === 0 ? path.moveTo(x, y) : path.lineTo(x, y)));
  if (closed && points.length > 2) path.closePath();
  for (const [x, y] of points) path.rect(x - 2 * pixel, y - 2 * pixel, 4 * pixel, 4 * pixel);
  if (ring) {
    path.moveTo(ring.at[0] + ring.radius, ring.at[1]);
    path.arc(...ring.at, ring.radius, 0, 2 * Math.PI);
  }
  if (cross) {
    const [[x, y], arm, gap] = [cross, 12 * pixel, 3 * pixel];
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + gap * dx, y + gap * dy);
      path.lineTo(x + arm * dx, y + arm * dy);
    }
  }
  outline(context, path, pixel);
}

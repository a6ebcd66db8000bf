// The whole video as a row of bars: the higher and warmer, the more errors are expected.

import { errorColor, severity } from "./colors.js";

const LEAST = 0.12; // height of the bar of a frame without an expected error, of 1

export class Overview {
  #context;

  constructor(canvas, goTo) {
    this.#context = canvas.getContext("2d");
    const jump = ({ offsetX }) => goTo(Math.floor((offsetX / canvas.clientWidth) * this.count));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      jump(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && jump(event));
  }

  /** Draw the columns of a video of any length into the width that is there. */
  draw({ columns, cuts }, frame) {
    this.count = columns.error.length;
    const context = this.#context;
    const { canvas } = context;
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio];
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    context.scale(ratio, ratio);
    const { color: ink } = getComputedStyle(canvas);
    const place = (i) => (i / this.count) * width;
    this.#bars(columns, { width, height });
    context.fillStyle = ink;
    columns.key.forEach((key, i) => {
      if (key) this.#triangle((place(i) + place(i + 1)) / 2);
    });
    for (const cut of cuts) for (let y = 0; y < height; y += 4) context.fillRect(place(cut) - 0.75, y, 1.5, 2);
    context.strokeStyle = ink;
    context.lineWidth = 2;
    context.strokeRect(place(frame) - 1, 1, Math.max(4, width / this.count) + 2, height - 2);
  }

  #bars({ error }, { width, height }) {
    const bins = Math.min(this.count, Math.max(1, Math.floor(width)));
    const worst = new Float32Array(bins).fill(-1);
    error.forEach((value, i) => {
      const bin = Math.floor((i / this.count) * bins);
      if (value !== null && value > worst[bin]) worst[bin] = value;
    });
    const step = width / bins;
    worst.forEach((value, bin) => {
      if (value < 0) return;
      const bar = (LEAST + (1 - LEAST) * severity(value)) * (height - 6);
      this.#context.fillStyle = errorColor(value);
      this.#context.fillRect(bin * step, height - bar, Math.max(1, step - (step > 3 ? 1 : 0)), bar);
    });
  }

  #triangle(x) {
    const path = new Path2D();
    path.moveTo(x - 4, 0);
    path.lineTo(x + 4, 0);
    path.lineTo(x, 6);
    this.#context.fill(path);
  }
}

// Zoom and pan, one for both panes; and from places on the screen to pixels of the map.

import { Pane } from "./pane.js";

const MOST = 64; // CSS pixels per pixel of the map
const MARGIN = 40; // CSS pixels of the map that stay in sight

export class View {
  #fitted = true;
  #asked = false;
  /** Size of the map. */
  width = 1;
  height = 1;
  scale = 1;
  x = 0;
  y = 0;
  /** Marks to draw over both panes. */
  marks = () => [];

  constructor(stage) {
    this.main = new Pane(stage.querySelector("#pane-main"));
    this.other = new Pane(stage.querySelector("#pane-other"));
    new ResizeObserver(() => {
      if (this.#fitted) this.fit();
      this.redraw();
    }).observe(stage);
  }

  get #box() {
    const { clientWidth, clientHeight } = this.main.canvas;
    return { width: clientWidth, height: clientHeight };
  }

  /** Take the size of a map; another size is fitted to the window. */
  setSize({ width, height }) {
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    this.fit();
  }

  fit() {
    const box = this.#box;
    this.scale = Math.min(box.width / this.width, box.height / this.height) || 1;
    this.x = (box.width - this.scale * this.width) / 2;
    this.y = (box.height - this.scale * this.height) / 2;
    this.#fitted = true;
    this.redraw();
  }

  /** Zoom around a place in the pane, in CSS pixels; its middle by default. */
  zoom(factor, at = [this.#box.width / 2, this.#box.height / 2]) {
    const least = Math.min(this.#box.width / this.width, this.#box.height / this.height) / 2;
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    this.x = at[0] - ((at[0] - this.x) * scale) / this.scale;
    this.y = at[1] - ((at[1] - this.y) * scale) / this.scale;
    this.scale = scale;
    this.pan(0, 0);
  }

  pan(dx, dy) {
    const inside = (place, size, room) => Math.min(room - MARGIN, Math.max(MARGIN - size, place));
    this.x = inside(this.x + dx, this.scale * this.width, this.#box.width);
    this.y = inside(this.y + dy, this.scale * this.height, this.#box.height);
    this.#fitted = false;
    this.redraw();
  }

  /** Pan until a point of the map is in sight. */
  reveal([x, y]) {
    const off = (place, room) => Math.min(0, room - MARGIN - place) + Math.max(0, MARGIN - place);
    const dx = off(this.x + this.scale * x, this.#box.width);
    const dy = off(this.y + this.scale * y, this.#box.height);
    const fits = this.#fitted || (dx === 0 && dy === 0);
    if (!fits) this.pan(dx, dy);
  }

  /** Return the place of an event in the pane that it happened in, in CSS pixels. */
  placeOf({ clientX, clientY }, pane = this.main) {
    const box = pane.canvas.getBoundingClientRect();
    return [clientX - box.left, clientY - box.top];
  }

  /** Return the point of the map at a place in a pane; pixel centres are whole numbers. */
  toMap([px, py]) {
    return [(px - this.x) / this.scale - 0.5, (py - this.y) / this.scale - 0.5];
  }

  /** Return whether a point lies on the map. */
  contains([x, y]) {
    return x >= -0.5 && y >= -0.5 && x < this.width - 0.5 && y < this.height - 0.5;
  }

  /** Draw at the next opportunity, however often this is called before. */
  redraw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      const marks = this.marks();
      for (const pane of [this.main, this.other]) {
        if (pane.figure.hidden) continue;
        if (pane.resize() && this.#fitted) this.fit();
        pane.draw(this, marks);
      }
      this.drawn?.();
    });
  }
}

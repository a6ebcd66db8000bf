// The place where the keyboard draws: moved by arrow keys, and spoken when it rests.

import { VOID } from "../colors.js";

const REST = 350; // ms

export class Cursor {
  #timer = 0;
  /** Place on the map, whole pixels; null while the keyboard does not draw. */
  at = null;

  constructor({ view, say, labels, classes }) {
    Object.assign(this, { view, say, labels, classes });
  }

  /** Move by whole pixels; the first time, appear in the middle. */
  move(dx, dy) {
    const { width, height } = this.view;
    const [x, y] = this.at ?? [Math.floor(width / 2), Math.floor(height / 2)];
    const inside = (place, size) => Math.min(size - 1, Math.max(0, place));
    this.at = this.at ? [inside(x + dx, width), inside(y + dy, height)] : [x, y];
    this.view.reveal(this.at);
    this.view.redraw();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.say(this.describe(this.at)), REST);
    return this.at;
  }

  hide() {
    clearTimeout(this.#timer);
    this.at = null;
    this.view.redraw();
  }

  /** Return a point in words: column, row and class. */
  describe([x, y]) {
    const map = this.labels();
    const label = map ? map.values[Math.round(y) * map.width + Math.round(x)] : undefined;
    const name = label === VOID ? "void" : this.classes[label]?.name ?? "no labels";
    return `${Math.round(x)}, ${Math.round(y)}: ${name}`;
  }
}

// Undo and redo of one label map. A step holds only the rectangle that it changed, as it was before;
// undoing swaps it with what is there, so that the same step serves to redo.

import { crop, paste } from "./raster.js";

export class History {
  #undo = [];
  #redo = [];

  /** Bytes of all steps. */
  get bytes() {
    return [...this.#undo, ...this.#redo].reduce((sum, step) => sum + step.values.length, 0);
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  get canRedo() {
    return this.#redo.length > 0;
  }

  /** Record that `rect` of a label map has changed from what `before`, a copy of all of it, holds. */
  push(before, rect) {
    this.#undo.push({ rect, values: crop(before, rect) });
    this.#redo = [];
  }

  /** Take the last step back; return the changed rectangle, or null where there is none. */
  undo(map) {
    return this.#swap(map, this.#undo, this.#redo);
  }

  redo(map) {
    return this.#swap(map, this.#redo, this.#undo);
  }

  /** Forget the oldest step; return whether there was one. */
  dropOldest() {
    return this.#undo.shift() !== undefined;
  }

  #swap(map, from, to) {
    const step = from.pop();
    if (!step) return null;
    to.push({ rect: step.rect, values: crop(map, step.rect) });
    paste(map, step.rect, step.values);
    return step.rect;
  }
}

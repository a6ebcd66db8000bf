// The labels that are being drawn: a copy of a frame's labels, its history, and the version it began from.
// Strokes that are not saved stay here when the frame is left, whatever happens elsewhere.

import { History } from "./history.js";
import { same, union, whole } from "./raster.js";

const HISTORY_BYTES = 64 * 2 ** 20; // of all drafts together
const CLEAN_DRAFTS = 8; // drafts without unsaved strokes that are kept for their history

export class Draft {
  history = new History();
  dirty = false;
  /** Whether a request about these labels is under way: whatever arrives meanwhile, the draft stays. */
  held = false;
  /** The version that somebody else saved since this draft began, or null. */
  theirs = null;
  #before = null;
  #changed = null;

  /** `saved` are the labels on the server, { values, width, height, version }. */
  constructor(saved) {
    this.saved = saved;
    this.map = { values: saved.values.slice(), width: saved.width, height: saved.height };
  }

  get version() {
    return this.saved.version;
  }

  get drawing() {
    return this.#before !== null;
  }

  /** Whether it can be given up: nothing in it is missing on the server. */
  get idle() {
    return !this.dirty && !this.drawing && !this.held;
  }

  /** Begin a step; all that changes until `end` is undone together. */
  begin() {
    this.#before = { ...this.map, values: this.map.values.slice() };
    this.#changed = null;
  }

  /** Tell that a rectangle, or null for none, has changed. */
  touch(rect) {
    this.#changed = union(this.#changed, rect);
  }

  end() {
    if (this.#changed) this.history.push(this.#before, this.#changed);
    this.#before = null;
    this.#compare();
  }

  /** Undo what changed since `begin`, and forget it. */
  cancel() {
    this.map.values.set(this.#before.values);
    this.#before = null;
  }

  undo() {
    return this.#moved(this.history.undo(this.map));
  }

  redo() {
    return this.#moved(this.history.redo(this.map));
  }

  /** Show other labels as one step, so that undo brings those of before back. */
  replace(saved) {
    this.begin();
    this.map.values.set(saved.values);
    this.touch(whole(this.map));
    this.saved = saved;
    this.theirs = null;
    this.end();
  }

  /** Note that the server has saved `values`, which may not be the latest ones any more. */
  settle(values, version) {
    this.saved = { ...this.saved, values, version };
    this.theirs = null;
    this.#compare();
  }

  /** Note a new version whose labels are those that this draft began from. */
  rebase(version) {
    this.saved = { ...this.saved, version };
    this.theirs = null;
  }

  #moved(rect) {
    this.#compare();
    return rect;
  }

  #compare() {
    this.dirty = !same(this.map.values, this.saved.values);
  }
}

/** The drafts of all frames, by video and frame. */
export class Drafts {
  #drafts = new Map();

  get(video, frame) {
    return this.#drafts.get(`${video}/${frame}`);
  }

  /** Return the draft of a frame; a new one of the labels given where there is none. */
  open(video, frame, saved) {
    const key = `${video}/${frame}`;
    const draft = this.#drafts.get(key) ?? new Draft(saved);
    this.#drafts.delete(key); // the last one opened is the last in the map
    this.#drafts.set(key, draft);
    this.#trim();
    return draft;
  }

  /** Forget a draft that has no stroke which is not saved. */
  close(video, frame) {
    this.#drafts.delete(`${video}/${frame}`);
  }

  /** Return [video, frame] of each draft with strokes that are not saved. */
  get unsaved() {
    return [...this.#drafts].filter(([, draft]) => draft.dirty).map(([key]) => key.split("/").map(Number));
  }

  #trim() {
    const clean = [...this.#drafts].filter(([, draft]) => draft.idle);
    for (const [key] of clean.slice(0, -CLEAN_DRAFTS)) this.#drafts.delete(key);
    this.boundHistory();
  }

  /** Forget the oldest steps, those of drafts longest not opened first, until the rest fits. */
  boundHistory() {
    let bytes = [...this.#drafts.values()].reduce((sum, draft) => sum + draft.history.bytes, 0);
    for (const { history } of this.#drafts.values()) {
      while (bytes > HISTORY_BYTES && history.canUndo) {
        const before = history.bytes;
        history.dropOldest();
        bytes += history.bytes - before;
      }
    }
  }
}

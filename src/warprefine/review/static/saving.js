// Saving labels and decisions. Every change names the version that it was made on; where another one is
// saved by now, nothing is overwritten and no stroke is lost: the person decides.

import * as api from "./api.js";
import { VOID } from "./colors.js";
import { filled, same } from "./raster.js";

export class Saving {
  /** Frames that a request is under way for: "video/frame". */
  #busy = new Set();

  constructor({ state, screen, drafts, frames, say, complain }) {
    Object.assign(this, { state, screen, drafts, frames, say, complain });
  }

  isBusy(video, frame) {
    return this.#busy.has(`${video}/${frame}`);
  }

  /** Save the strokes on the frame on screen; return whether the server has them. */
  async save() {
    const { shown, draft } = this.screen;
    if (!shown) return false;
    if (!draft?.dirty) {
      this.say("Nothing to save: no stroke has changed a label of this frame.");
      return true;
    }
    return this.#once(shown, async ({ video, frame }) => {
      const values = draft.map.values.slice(); // as they are now; strokes may follow while this is under way
      const answer = await this.#unlessChanged(values, draft, { video, frame });
      if (!answer) return false;
      draft.settle(values, answer.version);
      this.#note(video, frame, { version: answer.version, key: 2, decision: "", stale: 0, labelled: 1, error: null });
      this.#replaceShown(video, frame, draft.saved);
      this.say(`Frame ${frame} is saved as a key frame. Its neighbours are being labelled again.`);
      return true;
    });
  }

  // Send labels on the draft's version. If only the version is another one, but not the labels, send again.
  async #unlessChanged(values, draft, { video, frame }) {
    const send = (version) => api.saveLabels(video, frame, { ...draft.map, values, version });
    try {
      return await send(draft.version);
    } catch (problem) {
      if (problem.status !== 409) throw problem;
      const theirs = await api.labels(video, frame, this.state.now.method);
      const version = theirs.version ?? problem.version;
      // Mine are there already where an answer was lost on its way.
      if (same(theirs.values, draft.saved.values) || same(theirs.values, values)) {
        draft.rebase(version);
        return send(version);
      }
      this.#clash(draft, { ...theirs, version }, frame);
      return null;
    }
  }

  #clash(draft, theirs, frame) {
    draft.theirs = theirs;
    this.#touchState();
    this.complain(`frame ${frame} was changed elsewhere; your strokes are kept here, but not saved`);
  }

  /** Save mine over what somebody else saved: asked for by name, after a conflict. */
  async saveMine() {
    const { draft } = this.screen;
    if (!draft?.theirs) return false;
    draft.rebase(draft.theirs.version);
    draft.dirty = true; // also where both happen to be the same
    this.#touchState();
    return this.save();
  }

  /** Show what somebody else saved; undo brings my strokes back. */
  takeTheirs() {
    const { draft, shown } = this.screen;
    if (!draft?.theirs) return;
    draft.replace(draft.theirs);
    this.#replaceShown(shown.video, shown.frame, draft.saved);
    this.say("These are the labels that were saved elsewhere. Undo brings yours back.");
  }

  /** Accept or reject the frame on screen, after saving its strokes; the same decision again takes it back. */
  async decide(decision) {
    const { shown, draft } = this.screen;
    const hasStrokes = Boolean(draft?.dirty);
    if (!this.#isOpen || (hasStrokes && !(await this.save()))) return;
    const saved = hasStrokes ? "saved as a key frame, and " : "";
    await this.#once(shown, async ({ video, frame }) => {
      const { columns } = this.state.now;
      const next = columns.decision[frame] === decision && !columns.stale[frame] ? "" : decision;
      const { version } = await api.decide(video, frame, next, columns.version[frame]);
      if (draft && draft.version === columns.version[frame]) draft.rebase(version);
      if (this.shownIs(video, frame) && shown.labels) shown.labels.version = version;
      this.#note(video, frame, { version, decision: next, stale: 0 });
      this.say(`Frame ${frame}: ${saved}${next || "no decision any more"}.`);
    });
  }

  /** Take a saved correction back; undo brings its labels back as strokes that are not saved. */
  async takeBack() {
    const { shown } = this.screen;
    const { columns, method, run } = this.state.now;
    if (!this.#isOpen || columns.key[shown.frame] !== 2) return void this.say("This frame has no saved correction.");
    await this.#once(shown, async ({ video, frame }) => {
      const draft = this.drafts.open(video, frame, shown.labels);
      draft.held = true;
      let labels;
      try {
        const { version } = await api.takeBack(video, frame, draft.version);
        this.frames.forget(video, frame);
        this.#note(video, frame, { version, key: run.videos[video].key_frames.includes(frame) ? 1 : 0, decision: "", stale: 0 });
        labels = await this.#labelsLeft(video, frame, method);
        draft.replace({ ...(labels ?? filled(run.videos[video], VOID)), version });
      } finally {
        draft.held = false;
      }
      this.#replaceShown(video, frame, draft.saved);
      if (!labels) this.#note(video, frame, { labelled: 0 });
      this.say(`The correction of frame ${frame} is taken back. Undo brings its labels back.`);
    });
  }

  // Return the labels without the correction, null where there are none: no key frame reaches the frame.
  async #labelsLeft(video, frame, method) {
    try {
      return await api.labels(video, frame, method);
    } catch (problem) {
      if (problem.status === 404) return null;
      throw problem;
    }
  }

  // Whether what is known of the frames is of the video on screen; it is not while another one is being opened.
  get #isOpen() {
    const { columns, video } = this.state.now;
    return columns !== null && this.screen.shown?.video === video;
  }

  shownIs(video, frame) {
    const { shown } = this.screen;
    return shown?.video === video && shown.frame === frame;
  }

  // One request per frame at a time; whatever goes wrong is told.
  async #once({ video, frame }, work) {
    const name = `${video}/${frame}`;
    if (this.#busy.has(name)) return false;
    this.#busy.add(name);
    try {
      return await work({ video, frame });
    } catch (problem) {
      this.#explain(problem, frame);
      return false;
    } finally {
      this.#busy.delete(name);
      this.#touchState();
    }
  }

  #explain(problem, frame) {
    if (problem.status === 0) {
      this.complain("the server does not answer. Your strokes are kept here: start warprefine review again, and save");
    } else if (problem.status === 401 || problem.status === 403) {
      this.complain("the server does not know this page any more. Open the address that warprefine review printed in another tab, then save here again");
    } else if (problem.status === 409) {
      this.complain(`frame ${frame} was changed elsewhere meanwhile; look at it, then decide again`);
      this.onStale?.();
    } else {
      this.complain(problem.message);
    }
  }

  #replaceShown(video, frame, labels) {
    this.frames.forget(video, frame);
    if (!this.shownIs(video, frame)) return;
    this.screen.shown.labels = labels;
    this.screen.repaint();
  }

  // Change a row of the columns, where they are those of this video.
  #note(video, frame, patch) {
    const { columns } = this.state.now;
    if (!columns || video !== this.state.now.video) return;
    for (const [name, value] of Object.entries(patch)) columns[name][frame] = value;
    this.state.set({ columns: { ...columns } });
  }

  #touchState() {
    this.state.set({ edits: this.state.now.edits + 1 });
  }
}

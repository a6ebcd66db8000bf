// What tools draw on: the draft of the frame on screen.

import { VOID } from "./colors.js";

export class Easel {
  constructor({ state, drafts, screen, view, say }) {
    Object.assign(this, { state, drafts, screen, view, say });
  }

  get map() {
    return this.screen.map;
  }

  /** The frame that is asked for, as "video/frame". */
  get place() {
    const { video, frame } = this.state.now;
    return `${video}/${frame}`;
  }

  get size() {
    return this.state.now.size;
  }

  /** The class in hand; void comes after the last one. */
  get value() {
    const { classIndex, run } = this.state.now;
    return classIndex < run.classes.length ? classIndex : VOID;
  }

  get source() {
    return this.screen.source;
  }

  /** Return whether labels are on screen to draw on, and the point is among them. */
  ready(point) {
    const { shown } = this.screen;
    const { video, frame } = this.state.now;
    if (!shown?.labels || shown.video !== video || shown.frame !== frame) return false;
    if (!this.state.now.overlay) this.state.set({ overlay: true }); // nobody draws what is not seen
    if (this.state.now.heat) this.state.set({ heat: false });
    return this.view.contains(point) || this.state.now.tool === "polygon";
  }

  begin() {
    const { video, frame, labels } = this.screen.shown;
    this.draft = this.drafts.open(video, frame, labels);
    this.draft.begin();
  }

  touch(rect) {
    this.draft.touch(rect);
    if (rect) this.screen.repaint(rect);
  }

  end() {
    this.draft.end();
    this.drafts.boundHistory();
    this.drawn();
  }

  cancel() {
    this.draft.cancel();
    this.drawn();
    this.screen.repaint();
  }

  redraw() {
    this.view.redraw();
  }

  /** Tell the page that a draft has other labels. */
  drawn() {
    this.state.set({ edits: this.state.now.edits + 1 });
  }
}

// Going from frame to frame and from video to video.

import * as api from "./api.js";
import { percent } from "./colors.js";
import { decided, isOpen } from "./standing.js";

export class Navigation {
  #asked = 0;

  constructor({ state, tools, say, complain }) {
    Object.assign(this, { state, tools, say, complain });
    state.watch(["method"], () => this.loadColumns());
  }

  get #count() {
    return this.state.now.columns?.version.length ?? 0;
  }

  /** Show a frame; numbers beyond the ends are those of the ends. Return what was said, "" for nothing. */
  goTo(frame) {
    if (!Number.isInteger(frame) || this.#count === 0) return ""; // none while a video is being opened
    return this.#leaveFor({ frame: Math.min(this.#count - 1, Math.max(0, frame)) });
  }

  // A stroke ends with the frame that it was begun on. A polygon stays there, open, and changes no label.
  #leaveFor(place) {
    const { video, frame } = this.state.now;
    this.tools.lift();
    const left = this.tools.hasPolygon;
    this.state.set(place);
    if (video === this.state.now.video && frame === this.state.now.frame) return "";
    const here = this.tools.hasPolygon
      ? "The polygon of this frame is not closed yet: go on with P, close it with a double click, or give it up with Esc." : "";
    const text = left ? `The polygon on frame ${frame} is kept open: no label has changed. It is there when you go back.` : here;
    if (text) this.say(text);
    return text;
  }

  step(frames) {
    this.goTo(this.state.now.frame + frames);
  }

  /** Open a video at a frame; by default the first one. */
  async openVideo(video, frame = 0) {
    this.#leaveFor({ video, frame, columns: null });
    await this.loadColumns();
  }

  /** Fetch error, decision and version of all frames of the video. */
  async loadColumns() {
    const { video, method } = this.state.now;
    this.#asked += 1;
    const turn = this.#asked;
    try {
      const columns = await api.frames(video, method);
      if (turn === this.#asked) this.state.set({ columns });
    } catch (problem) {
      this.complain(problem.message);
    }
  }

  /** Go down the list of frames that nobody has decided on, from the largest expected error. */
  nextWorst() {
    const { frame, columns } = this.state.now;
    if (!columns) return;
    const { error, key } = columns;
    const open = [...error.keys()].filter((i) => error[i] !== null && !key[i] && isOpen(columns, i));
    const worse = (a, b) => error[b] - error[a] || a - b;
    open.sort(worse);
    if (open.length === 0) {
      const pending = error.some((value, i) => value === null && columns.labelled[i] && !key[i]);
      this.say(pending ? "Expected errors are being read: try again in a moment."
        : "No frame is left: each one with an expected error is accepted, rejected or corrected.");
      return;
    }
    const below = open.find((i) => !open.includes(frame) || worse(frame, i) < 0);
    const next = below ?? open[0];
    const kept = this.goTo(next);
    const before = columns.decision[next] ? `, ${decided(columns, next)}` : "";
    this.say(`Frame ${next}${before}: ${percent(error[next])} of its pixels are expected to be wrong. ${open.length} left. ${kept}`.trim());
  }

  /** Go to the next frame, or the one before, that is a key frame or was corrected. */
  nextKey(direction) {
    const { frame, columns } = this.state.now;
    if (!columns) return;
    for (let i = frame + direction; i >= 0 && i < this.#count; i += direction) {
      if (columns.key[i]) return void this.goTo(i);
    }
    this.say("There is no further key frame.");
  }
}

// Going from frame to frame and from video to video.

import * as api from "./api.js";
import { percent } from "./colors.js";

export class Navigation {
  #asked = 0;

  constructor({ state, tools, say, complain }) {
    Object.assign(this, { state, tools, say, complain });
    state.watch(["method"], () => this.loadColumns());
  }

  get #count() {
    return this.state.now.columns?.version.length ?? 0;
  }

  /** Show a frame; numbers beyond the ends are those of the ends. */
  goTo(frame) {
    if (!Number.isInteger(frame) || this.#count === 0) return; // none while a video is being opened
    this.tools.finish(); // a stroke belongs to the frame that it was begun on
    this.tools.cancel();
    this.state.set({ frame: Math.min(this.#count - 1, Math.max(0, frame)) });
  }

  step(frames) {
    this.goTo(this.state.now.frame + frames);
  }

  /** Open a video at a frame; by default the first one. */
  async openVideo(video, frame = 0) {
    this.tools.finish();
    this.tools.cancel();
    this.state.set({ video, frame, columns: null });
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
    const { error, key, decision } = columns;
    const open = [...error.keys()].filter((i) => error[i] !== null && !key[i] && !decision[i]);
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
    this.goTo(next);
    this.say(`Frame ${next}: ${percent(error[next])} of its pixels are expected to be wrong. ${open.length} left.`);
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

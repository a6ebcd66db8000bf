// What others change, and what the server labels again, as it happens.

import * as api from "./api.js";
import { same } from "./raster.js";

const PATIENCE = [500, 1000, 2000, 5000]; // ms between attempts while the server is away
const COLUMNS = ["version", "decision", "stale", "key", "error", "labelled"];

export class Changes {
  #away = 0;
  #problem = null;

  constructor({ state, screen, saving, frames, navigation, say, complain, progress }) {
    Object.assign(this, { state, screen, saving, frames, navigation, say, complain, progress });
  }

  /** Listen for ever. */
  async listen() {
    let since = 0;
    for (;;) {
      try {
        const { serial, changes, redo, problem, reset } = await api.changes(since);
        if (this.#away > 0) this.#back();
        if (reset) await this.#startAnew();
        since = serial;
        this.#apply(changes);
        this.progress.textContent = redo ? `Labelling again: ${redo.done} of ${redo.of} frames` : "";
        if (problem && problem !== this.#problem) this.complain(problem);
        this.#problem = problem ?? null;
      } catch (problem) {
        await this.#wait(problem);
      }
    }
  }

  // The server was started anew, and cannot tell what has changed.
  async #startAnew() {
    this.frames.forgetLabels();
    await this.navigation.loadColumns();
    await this.screen.showFrame({ again: true });
  }

  #back() {
    this.#away = 0;
    this.say("The server answers again.");
    this.navigation.loadColumns();
  }

  async #wait(problem) {
    if (this.#away === 1) this.complain(`${problem.message}. What you draw is kept here, and can be saved when it is back`);
    const pause = PATIENCE[Math.min(this.#away, PATIENCE.length - 1)];
    this.#away += 1;
    await new Promise((resolve) => { setTimeout(resolve, pause); });
  }

  #apply(changes) {
    const { columns, video } = this.state.now;
    const before = this.screen.shown && columns?.error[this.screen.shown.frame];
    for (const change of changes) {
      const present = COLUMNS.filter((name) => columns && change.video === video && change[name] !== undefined);
      for (const name of present) columns[name][change.frame] = change[name];
      if (!this.saving.isBusy(change.video, change.frame)) this.frames.forget(change.video, change.frame);
    }
    if (columns) this.state.set({ columns: { ...columns } }); // once, however many there are
    const shown = changes.find((change) => this.saving.shownIs(change.video, change.frame));
    if (shown && !this.saving.isBusy(shown.video, shown.frame)) this.#reload(shown, before);
  }

  // A change may be of anything, such as an expected error that is known now: only new labels are told of.
  async #reload({ frame, version, error }, errorBefore) {
    const { draft } = this.screen;
    if (draft?.dirty && draft.version !== version) {
      this.say(`Frame ${frame} was changed elsewhere. Your strokes are kept; saving will ask.`);
    } else if (draft?.dirty && errorBefore !== null && errorBefore !== error) {
      this.say(`Frame ${frame} has new labels. Your strokes are kept.`);
    }
    const old = this.screen.shown.labels;
    await this.screen.showFrame({ again: true });
    const { shown } = this.screen;
    const differ = old && shown.frame === frame && shown.labels && !same(old.values, shown.labels.values);
    if (differ && !draft?.dirty) this.say(`Frame ${frame} has new labels.`);
  }
}

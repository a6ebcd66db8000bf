// The frame on screen: fetches what the state asks for, and paints it on the panes when it is there.

import { Layer } from "./canvas/layer.js";
import { classTable, confidenceTable, VOID } from "./colors.js";
import { filled, same, whole } from "./raster.js";

const SOURCES = {
  before: "from the key frame before",
  after: "from the key frame after",
  segmenter: "of the segmenter alone",
};

export class Screen {
  #turn = 0;
  #last = 0;
  #table = new Uint32Array(256);
  #main = new Layer();
  #other = new Layer();
  #heat = new Layer();
  #otherMap = null;
  /** What is shown: { video, frame, labels: those on the server }, null while nothing is. */
  shown = null;
  /** Labels to take regions from, null where there are none. */
  source = null;

  constructor({ state, frames, drafts, view, complain }) {
    Object.assign(this, { state, frames, drafts, view, complain });
    state.watch(["video", "frame", "method", "columns"], () => this.showFrame());
    state.watch(["hidden", "overlay", "opacity"], () => this.repaint());
    state.watch(["heat", "beside"], () => this.#showFurther(this.#turn));
    state.watch(["take", "tool"], () => this.#fetchSource(this.#turn));
  }

  get draft() {
    return this.shown && this.drafts.get(this.shown.video, this.shown.frame);
  }

  /** The labels on screen: the draft if there is one. */
  get map() {
    return this.draft?.map ?? this.shown?.labels ?? null;
  }

  /** Fetch and show the frame of the state; a later call makes an earlier one void. */
  async showFrame({ again = false } = {}) {
    const { video, frame, method, columns } = this.state.now;
    const asked = `${video}/${frame}/${method}/${columns?.labelled[frame]}`;
    if (!columns || (asked === this.asked && !again)) return;
    this.asked = asked;
    this.#turn += 1;
    const turn = this.#turn;
    performance.mark("frame asked");
    const [picture, labels] = await Promise.allSettled([this.frames.image(video, frame), this.#labels()]);
    if (turn !== this.#turn) return;
    for (const { reason } of [picture, labels]) if (reason) this.complain(`frame ${frame}: ${reason.message}`);
    this.#place(video, frame, picture.value ?? null, labels.value ?? null);
    this.view.drawn = () => this.#measure();
    const direction = frame < this.#last ? -1 : 1;
    this.#last = frame;
    await Promise.all([this.#showFurther(turn), this.#fetchSource(turn)]);
    const { labelled } = columns;
    const wanted = () => turn === this.#turn;
    this.frames.fetchAhead(video, frame, { method, count: labelled.length, direction, labelled, wanted });
  }

  #place(video, frame, picture, labels) {
    const draft = this.drafts.get(video, frame);
    // A draft without strokes gives way to other labels: those of another method, or new ones.
    if (draft?.idle && labels) {
      if (!same(draft.saved.values, labels.values)) this.drafts.close(video, frame);
      else if (labels.version > draft.version) draft.rebase(labels.version);
    }
    this.shown = { video, frame, labels };
    this.source = null;
    this.#otherMap = null;
    this.#heat.map = null;
    const { width, height } = this.state.now.run.videos[video];
    this.view.setSize({ width, height });
    this.view.main.picture = this.view.other.picture = picture;
    this.repaint();
    document.getElementById("stage").dataset.frame = frame;
    this.state.set({ shown: this.shown });
  }

  #measure() {
    performance.measure("frame change", "frame asked");
    this.view.drawn = null;
  }

  async #labels() {
    const { video, frame, method, columns, run } = this.state.now;
    if (columns.labelled[frame]) {
      const labels = await this.frames.labels(video, frame, method);
      labels.version ??= columns.version[frame];
      return labels;
    }
    return { ...filled(run.videos[video], VOID), version: columns.version[frame] };
  }

  /** Paint the labels anew, or a rectangle of them that was drawn on. */
  repaint(rect = null) {
    const { run, hidden, overlay, opacity, heat } = this.state.now;
    if (!rect) this.#table = classTable(run.classes, hidden);
    const { map, view } = this;
    if (map && rect !== null) this.#main.paint(map, this.#table, rect);
    else if (map) this.#main.paint(map, this.#table, whole(map));
    if (this.#otherMap && !rect) this.#other.paint(this.#otherMap, this.#table);
    const hot = heat && this.#heat.map;
    view.main.layer = !overlay || !map ? null : hot ? this.#heat.canvas : this.#main.canvas;
    view.main.smooth = Boolean(hot);
    view.other.layer = overlay && this.#otherMap ? this.#other.canvas : null;
    view.main.opacity = view.other.opacity = opacity / 100;
    view.redraw();
  }

  /** Fetch what only some views need: the confidence, the labels of the pane beside. */
  async #showFurther(turn) {
    const { heat, beside } = this.state.now;
    const wasHidden = this.view.other.figure.hidden;
    this.view.other.figure.hidden = beside === "";
    if (wasHidden !== (beside === "")) this.view.fit();
    await Promise.all([heat && this.#fetchHeat(turn), beside && this.#fetchBeside(turn)]);
    if (turn === this.#turn) this.repaint();
  }

  async #fetchHeat(turn) {
    const { video, frame, method, columns } = this.state.now;
    if (!columns.labelled[frame]) return;
    const map = await this.#try(this.frames.confidence(video, frame, method), turn);
    if (!map || turn !== this.#turn) return;
    this.#heat.map = map;
    this.#heat.paint(map, confidenceTable);
  }

  async #fetchBeside(turn) {
    const { beside } = this.state.now;
    const map = beside === "frame" ? null : await this.#try(this.labelsOf(beside), turn);
    if (turn !== this.#turn || beside !== this.state.now.beside) return;
    this.#otherMap = map;
    const kind = beside.replace("method:", "");
    const text = { frame: "Frame without labels", saved: "Labels as saved" }[beside] ?? `Labels ${SOURCES[kind] ?? `of ${kind}`}`;
    this.view.other.caption = map || beside === "frame" ? text : `${text}: none`;
  }

  async #fetchSource(turn) {
    const { tool, take } = this.state.now;
    if (tool !== "take" || !this.shown) return;
    this.source = null;
    const map = await this.#try(this.labelsOf(take), turn);
    if (turn === this.#turn && take === this.state.now.take) this.source = map;
  }

  /** Return labels of the frame on screen by the name of where they come from. */
  async labelsOf(name) {
    const { video, frame, labels } = this.shown;
    if (name === "saved") return labels;
    if (name.startsWith("method:")) return this.frames.labels(video, frame, name.slice("method:".length));
    const wanted = () => this.state.now.video === video && this.state.now.frame === frame;
    return this.frames.source(video, frame, name, { wanted });
  }

  // What goes wrong with a frame that was left meanwhile is of no interest.
  async #try(promise, turn) {
    try {
      return await promise;
    } catch (problem) {
      if (turn === this.#turn) this.complain(problem.message);
      return null;
    }
  }
}

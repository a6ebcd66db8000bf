// The frames of a video as small pictures. Only those in sight exist, so that 10,000 cost no more than 10.

import { thumbnailAddress } from "./api.js";
import { errorColor, severity } from "./colors.js";
import { Overview } from "./overview.js";
import { standing } from "./standing.js";

const CELL = 84; // CSS pixels, as in page.css
const BEYOND = 3; // cells on either side of those in sight
const STILL = 90; // ms without scrolling before pictures are fetched
const KEY_LETTERS = ["", "K", "C"];
const DECISIONS = { accepted: "✓", rejected: "✗" };
const CHANGED = "≠"; // labels are others than those that were decided on

const strip = document.getElementById("strip");
const track = document.getElementById("strip-track");

export class Filmstrip {
  #cells = new Map();
  #timer = 0;

  constructor({ state, drafts, tools, goTo }) {
    Object.assign(this, { state, drafts, tools });
    this.overview = new Overview(document.getElementById("overview"), goTo);
    strip.addEventListener("scroll", () => this.#fill(), { passive: true });
    track.addEventListener("click", ({ target }) => {
      const cell = target.closest(".cell");
      if (cell) goTo(Number(cell.dataset.frame));
    });
    state.watch(["video"], () => this.#empty());
    state.watch(["columns", "edits"], () => this.#update());
    state.watch(["frame"], () => this.#follow());
    new ResizeObserver(() => this.#update()).observe(strip);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#update());
  }

  /** What is known of the video's frames, for `standing`. */
  facts() {
    const { run, video, columns } = this.state.now;
    const { cuts, damaged } = run.videos[video];
    const ofVideo = (places) => new Set(places.filter(([of]) => of === video).map(([, frame]) => frame));
    const [unsaved, unclosed] = [ofVideo(this.drafts.unsaved), ofVideo(this.tools.unclosed)];
    return { columns, cuts: new Set(cuts), damaged: new Set(damaged), unsaved, unclosed };
  }

  #empty() {
    track.replaceChildren();
    this.#cells.clear();
    strip.scrollLeft = 0;
  }

  #update() {
    const { columns } = this.state.now;
    if (!columns) return;
    track.style.width = `${columns.error.length * CELL}px`;
    strip.setAttribute("aria-valuemax", columns.error.length - 1);
    const facts = this.facts();
    for (const [frame, cell] of this.#cells) this.#paint(cell, frame, facts);
    this.#follow(facts);
  }

  #follow(facts = this.facts()) {
    const { frame, columns } = this.state.now;
    if (!columns) return;
    strip.setAttribute("aria-valuenow", frame);
    strip.setAttribute("aria-valuetext", [`frame ${frame}`, ...standing(facts, frame)].join(", "));
    const [left, right] = [frame * CELL, (frame + 1) * CELL];
    const out = left < strip.scrollLeft + CELL || right > strip.scrollLeft + strip.clientWidth - CELL;
    if (out) strip.scrollLeft = left - (strip.clientWidth - CELL) / 2;
    this.#fill(facts);
    for (const [number, cell] of this.#cells) cell.classList.toggle("current", number === frame);
    this.overview.draw(facts, frame);
  }

  #fill(facts = this.facts()) {
    if (!facts.columns) return;
    const first = Math.max(0, Math.floor(strip.scrollLeft / CELL) - BEYOND);
    const end = Math.ceil((strip.scrollLeft + strip.clientWidth) / CELL) + BEYOND;
    const last = Math.min(facts.columns.error.length, end);
    for (const [frame, cell] of this.#cells) {
      if (frame >= first && frame < last) continue;
      cell.remove();
      this.#cells.delete(frame);
    }
    for (let frame = first; frame < last; frame += 1) {
      if (!this.#cells.has(frame)) this.#add(frame, facts);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetchPictures(), STILL);
  }

  #add(frame, facts) {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.dataset.frame = frame;
    cell.style.left = `${frame * CELL}px`;
    const picture = Object.assign(document.createElement("img"), { alt: "", fetchPriority: "low", hidden: true });
    picture.addEventListener("load", () => { picture.hidden = false; });
    const part = (name) => Object.assign(document.createElement("span"), { className: name });
    cell.append(picture, part("bar"), part("badges"), part("number"));
    this.#cells.set(frame, cell);
    this.#paint(cell, frame, facts);
    cell.classList.toggle("current", frame === this.state.now.frame);
    track.append(cell);
  }

  #paint(cell, frame, facts) {
    const { columns, cuts, unsaved, unclosed } = facts;
    const decision = columns.decision[frame];
    const changed = decision && columns.stale[frame];
    const error = columns.error[frame];
    const [, bar, badges, number] = cell.children;
    bar.style.height = error === null ? "0" : `${Math.round(3 + 9 * severity(error))}px`;
    bar.style.background = error === null ? "none" : errorColor(error);
    const marks = [
      ["key", KEY_LETTERS[columns.key[frame]]],
      [changed ? "changed" : decision, decision && `${DECISIONS[decision]}${changed ? CHANGED : ""}`],
      ["unclosed", unclosed.has(frame) ? "△" : ""],
      ["unsaved", unsaved.has(frame) ? "●" : ""],
    ];
    badges.replaceChildren(...marks.filter(([, text]) => text).map(([name, text]) =>
      Object.assign(document.createElement("i"), { className: `badge ${name}`, textContent: text })));
    number.textContent = frame;
    cell.classList.toggle("cut", cuts.has(frame));
    cell.title = [`frame ${frame}`, ...standing(facts, frame)].join(", ");
  }

  #fetchPictures() {
    const { video } = this.state.now;
    for (const [frame, cell] of this.#cells) {
      const picture = cell.firstChild;
      if (!picture.getAttribute("src")) picture.src = thumbnailAddress(video, frame);
    }
  }
}

// All tools by name, and the one that is in hand.

import { VOID } from "../colors.js";
import { brush } from "./brush.js";
import { fill } from "./fill.js";
import { polygon } from "./polygon.js";
import { take } from "./take.js";

/** Names, keys and words of the tools, in the order of the page. */
export const TOOLS = [
  { name: "move", key: "m", text: "Move" },
  { name: "brush", key: "b", text: "Brush" },
  { name: "eraser", key: "e", text: "Eraser" },
  { name: "polygon", key: "p", text: "Polygon" },
  { name: "fill", key: "f", text: "Fill" },
  { name: "take", key: "t", text: "Take" },
];

export class Tools {
  #easel;
  #tools;
  #pressed = false;
  name = "move";

  /** `easel` is what tools draw on: map, size, value, source, begin, touch, end, redraw, say. */
  constructor(easel) {
    this.#easel = easel;
    const value = () => easel.value;
    this.#tools = {
      move: { down() {}, move() {}, up() {} },
      brush: brush(easel, value),
      eraser: brush(easel, () => VOID),
      polygon: polygon(easel, value),
      fill: fill(easel, value),
      take: take(easel),
    };
  }

  get #tool() {
    return this.#tools[this.name];
  }

  /** Whether a stroke or a polygon has begun and is not finished. */
  get busy() {
    return this.#pressed || Boolean(this.#tool.busy);
  }

  /** Whether the frame has a polygon that is not closed, whatever tool is in hand. */
  get hasPolygon() {
    return this.#tools.polygon.busy;
  }

  /** [video, frame] of each frame with such a polygon. */
  get unclosed() {
    return this.#tools.polygon.unclosed;
  }

  /** Take another tool; a stroke is given up, a polygon stays as it is. */
  choose(name) {
    this.drop();
    this.name = name;
  }

  /** Begin to draw; return whether there is anything to draw on. */
  down(point, { near = 0 } = {}) {
    if (!this.#easel.ready(point)) return false;
    this.#pressed = true;
    this.#tool.down(point, { near });
    return true;
  }

  move(point) {
    if (this.#pressed) this.#tool.move(point);
  }

  up(point) {
    if (this.#pressed) this.#tool.up(point);
    this.#pressed = false;
  }

  /** The keyboard's press: pens are put down or lifted, other tools act once. */
  press(point) {
    if (this.#tool.holds && this.#pressed) return this.up(point);
    const drawn = this.down(point);
    if (drawn && !this.#tool.holds) this.up(point);
    return undefined;
  }

  hover(point) {
    this.#tool.hover?.(point);
  }

  /** Lift a pen; a polygon stays as it is. */
  lift() {
    if (this.#pressed) this.up();
  }

  /** Close a polygon, lift a pen. */
  finish() {
    this.lift();
    return this.#tool.finish?.() ?? false;
  }

  /** Give up what has begun; return whether anything had. */
  cancel() {
    const { busy } = this;
    this.drop();
    this.#tool.cancel?.();
    return busy;
  }

  /** Give up a stroke; a polygon stays as it is. */
  drop() {
    if (this.#pressed && this.#tool.holds) this.#easel.cancel();
    this.#pressed = false;
  }

  /** Take the last corner of a polygon back; return whether there was one. */
  back() {
    if (!this.#tool.busy) return false;
    this.#tool.back();
    return true;
  }

  marks(at) {
    const radius = this.#tool.ring?.();
    return [...this.#tools.polygon.marks(this.name === "polygon"), ...(radius && at ? [{ ring: { at, radius } }] : [])];
  }
}

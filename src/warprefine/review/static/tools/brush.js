// Brush and eraser: a round pen along the pointer's way.

import { drawLine } from "../raster.js";

/** Return a brush that paints `value()`, `easel.size` pixels wide. */
export function brush(easel, value) {
  let last = null;
  // Whole pixels, so that a pen of one pixel paints exactly one.
  const snap = (point) => point.map(Math.round);
  const paint = (to) => {
    easel.touch(drawLine(easel.map, last ?? to, to, { diameter: easel.size, value: value() }));
    last = to;
  };
  return {
    holds: true, // the keyboard puts it down and lifts it
    ring: () => easel.size / 2,
    down(point) {
      easel.begin();
      last = null;
      paint(snap(point));
    },
    move: (point) => paint(snap(point)),
    up() {
      last = null;
      easel.end();
    },
  };
}

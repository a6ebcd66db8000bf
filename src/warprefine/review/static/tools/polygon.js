// Polygon: corner after corner; closed at the first corner, by a double click or by a key.
// One that is not closed stays with its frame, and changes no label.

import { fillPolygon } from "../raster.js";

export function polygon(easel, value) {
  const begun = new Map(); // corners by "video/frame"
  let pointer = null;
  const corners = () => begun.get(easel.place) ?? [];
  const forget = () => {
    pointer = null;
    if (begun.delete(easel.place)) easel.drawn();
    easel.redraw();
  };
  const isNear = ([ax, ay], [bx, by], near) => Math.hypot(ax - bx, ay - by) <= near;

  function finish() {
    const points = corners();
    if (points.length < 3 || !easel.ready(points[0])) return false;
    forget();
    easel.begin();
    easel.touch(fillPolygon(easel.map, points, value()));
    easel.end();
    return true;
  }

  return {
    marks(inHand) {
      const points = corners();
      return points.length ? [{ points: pointer && inHand ? [...points, pointer] : points, closed: true }] : [];
    },
    get busy() {
      return corners().length > 0;
    },
    /** [video, frame] of each frame with a polygon that is not closed. */
    get unclosed() {
      return [...begun.keys()].map((place) => place.split("/").map(Number));
    },
    down(point, { near }) {
      const points = corners();
      if (points.length > 2 && isNear(points[0], point, near)) return finish();
      // The second click of a double click adds no corner.
      if (!points.length || !isNear(points.at(-1), point, near / 3)) points.push(point);
      if (!begun.has(easel.place)) {
        begun.set(easel.place, points);
        easel.drawn();
      }
      return easel.redraw();
    },
    move() {},
    up() {},
    hover(point) {
      pointer = point;
    },
    finish,
    cancel: forget,
    /** Take the last corner back. */
    back() {
      corners().pop();
      if (corners().length === 0) forget();
      easel.redraw();
    },
  };
}

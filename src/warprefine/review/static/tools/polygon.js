// Polygon: corner after corner; closed at the first corner, by a double click or by a key.

import { fillPolygon } from "../raster.js";

export function polygon(easel, value) {
  let points = [];
  let pointer = null;
  const forget = () => {
    points = [];
    pointer = null;
    easel.redraw();
  };
  const isNear = ([ax, ay], [bx, by], near) => Math.hypot(ax - bx, ay - by) <= near;

  function finish() {
    if (points.length < 3) return false;
    const corners = points;
    forget();
    easel.begin();
    easel.touch(fillPolygon(easel.map, corners, value()));
    easel.end();
    return true;
  }

  return {
    marks: () => (points.length ? [{ points: pointer ? [...points, pointer] : points, closed: true }] : []),
    get busy() {
      return points.length > 0;
    },
    down(point, { near }) {
      if (points.length > 2 && isNear(points[0], point, near)) return finish();
      // The second click of a double click adds no corner.
      if (!points.length || !isNear(points.at(-1), point, near / 3)) points.push(point);
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
      points.pop();
      easel.redraw();
    },
  };
}

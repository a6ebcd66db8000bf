// Flood fill: the connected pixels of one class become another.

import { fillRegion } from "../raster.js";

export function fill(easel, value) {
  return {
    down(point) {
      const { map } = easel;
      const [x, y] = point.map(Math.round);
      const { values } = map;
      const old = values[y * map.width + x];
      if (old === value()) return easel.say("this region has that class already");
      easel.begin();
      easel.touch(fillRegion(map, [x, y], { belongs: (i) => values[i] === old, value: value() }));
      return easel.end();
    },
    move() {},
    up() {},
  };
}

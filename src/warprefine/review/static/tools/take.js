// Take a region from other labels: those of the key frame on one side, of the segmenter, or those saved.
// The region is the connected pixels that have one class here and one other class there.

import { fillRegion } from "../raster.js";

export function take(easel) {
  return {
    down(point) {
      const { map, source } = easel;
      if (!source) return easel.say("the labels to take from have not arrived, or there are none");
      const [x, y] = point.map(Math.round);
      const { values } = map;
      const start = y * map.width + x;
      const [here, there] = [values[start], source.values[start]];
      if (here === there) return easel.say("both labels are the same here: there is nothing to take");
      easel.begin();
      const belongs = (i) => values[i] === here && source.values[i] === there;
      easel.touch(fillRegion(map, [x, y], { belongs, value: there }));
      return easel.end();
    },
    move() {},
    up() {},
  };
}

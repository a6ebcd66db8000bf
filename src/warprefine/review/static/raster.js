// Drawing into label maps { values, width, height }: pure functions of numbers.
// Points are [x, y], pixel centres are whole numbers, and a rectangle ends before x1 and y1.
// Functions that change a map return the rectangle that may have changed, null where there is none.

/** Return the smallest rectangle around two; either may be null. */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  return {
    x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1),
  };
}

function clip({ width, height }, rect) {
  const inside = {
    x0: Math.max(0, rect.x0), y0: Math.max(0, rect.y0),
    x1: Math.min(width, rect.x1), y1: Math.min(height, rect.y1),
  };
  return inside.x0 < inside.x1 && inside.y0 < inside.y1 ? inside : null;
}

/** Return a map of one value. */
export const filled = ({ width, height }, value) =>
  ({ values: new Uint8Array(width * height).fill(value), width, height });

export const whole = ({ width, height }) => ({ x0: 0, y0: 0, x1: width, y1: height });

/** Return the values inside a rectangle, row by row. */
export function crop(map, { x0, y0, x1, y1 }) {
  const values = new Uint8Array((x1 - x0) * (y1 - y0));
  for (let y = y0; y < y1; y += 1) {
    values.set(map.values.subarray(y * map.width + x0, y * map.width + x1), (y - y0) * (x1 - x0));
  }
  return values;
}

/** Put values back into the rectangle that they were cropped from. */
export function paste(map, { x0, y0, x1, y1 }, values) {
  for (let y = y0; y < y1; y += 1) {
    const row = values.subarray((y - y0) * (x1 - x0), (y - y0 + 1) * (x1 - x0));
    map.values.set(row, y * map.width + x0);
  }
}

function distanceToSegment(x, y, [ax, ay], [bx, by]) {
  const along = (bx - ax) ** 2 + (by - ay) ** 2;
  const share = along === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / along));
  return Math.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay));
}

/** Set all pixels whose centre is at most half of `diameter` from the line between two points. */
export function drawLine(map, from, to, { diameter, value }) {
  const radius = diameter / 2;
  const rect = clip(map, {
    x0: Math.ceil(Math.min(from[0], to[0]) - radius), y0: Math.ceil(Math.min(from[1], to[1]) - radius),
    x1: Math.floor(Math.max(from[0], to[0]) + radius) + 1, y1: Math.floor(Math.max(from[1], to[1]) + radius) + 1,
  });
  if (!rect) return null;
  for (let y = rect.y0; y < rect.y1; y += 1) {
    for (let x = rect.x0; x < rect.x1; x += 1) {
      if (distanceToSegment(x, y, from, to) <= radius) map.values[y * map.width + x] = value;
    }
  }
  return rect;
}

function crossings(points, y) {
  const found = [];
  for (const [i, [ax, ay]] of points.entries()) {
    const [bx, by] = points[(i + 1) % points.length];
    if (ay <= y !== by <= y) found.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
  }
  return found.sort((a, b) => a - b);
}

/** Set all pixels whose centre is inside a polygon (even-odd rule) or on its border. */
export function fillPolygon(map, points, value) {
  let changed = null;
  for (const [i, point] of points.entries()) {
    // Half-open scan lines leave out borders on one side; a line of no width puts them back.
    const border = drawLine(map, point, points[(i + 1) % points.length], { diameter: 1e-6, value });
    changed = union(changed, border);
  }
  const ys = points.map(([, y]) => y);
  const [top, bottom] = [Math.max(0, Math.ceil(Math.min(...ys))), Math.min(map.height - 1, Math.floor(Math.max(...ys)))];
  for (let y = top; y <= bottom; y += 1) {
    const row = crossings(points, y);
    for (let i = 0; i + 1 < row.length; i += 2) {
      const rect = clip(map, { x0: Math.ceil(row[i]), x1: Math.floor(row[i + 1]) + 1, y0: y, y1: y + 1 });
      if (rect) map.values.fill(value, y * map.width + rect.x0, y * map.width + rect.x1);
      changed = union(changed, rect);
    }
  }
  return changed;
}

/** Set the pixels that are joined with [x, y], side by side, and fulfil `belongs(index)`. */
export function fillRegion(map, [x, y], { belongs, value }) {
  const { values, width, height } = map;
  const start = y * width + x;
  if (!belongs(start)) return null;
  const seen = new Uint8Array(width * height);
  const stack = [start];
  const region = [];
  seen[start] = 1;
  const visit = (index) => {
    if (seen[index] || !belongs(index)) return;
    seen[index] = 1;
    stack.push(index);
  };
  let rect = null;
  while (stack.length > 0) {
    const index = stack.pop();
    const [px, py] = [index % width, Math.floor(index / width)];
    region.push(index);
    rect = grow(rect, px, py);
    if (px > 0) visit(index - 1);
    if (px < width - 1) visit(index + 1);
    if (py > 0) visit(index - width);
    if (py < height - 1) visit(index + width);
  }
  for (const index of region) values[index] = value; // only now: `belongs` reads the values as they were
  return rect;
}

function grow(rect, x, y) {
  if (!rect) return { x0: x, y0: y, x1: x + 1, y1: y + 1 };
  if (x < rect.x0) rect.x0 = x;
  if (x >= rect.x1) rect.x1 = x + 1;
  if (y < rect.y0) rect.y0 = y;
  if (y >= rect.y1) rect.y1 = y + 1;
  return rect;
}

/** Return whether two maps of one size hold the same values. */
export function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

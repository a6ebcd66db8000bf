// Colours of classes, confidence and expected error, as tables of RGBA for label values 0 to 255.

export const VOID = 255;

const pack = ([r, g, b], alpha = 255) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian RGBA

function between(anchors, share) {
  const at = Math.min(1, Math.max(0, share)) * (anchors.length - 1);
  const i = Math.min(anchors.length - 2, Math.floor(at));
  return anchors[i].map((from, c) => Math.round(from + (at - i) * (anchors[i + 1][c] - from)));
}

// viridis (van der Walt and Smith, 2015) at nine places: perceptually uniform, legible to the colour-blind.
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];
// From calm to alarming without a step from red to green.
const ERRORS = [[122, 158, 189], [214, 180, 110], [233, 128, 44], [196, 52, 28]];
const WORST = 0.2; // an expected error from which on all is painted alike

/** Return the table that paints labels; void and hidden classes are transparent. */
export function classTable(classes, hidden) {
  const table = new Uint32Array(256);
  classes.forEach(({ color }, i) => {
    if (!hidden.has(i)) table[i] = pack(color);
  });
  return table;
}

/** The table that paints confidence, 0 to 255. */
export const confidenceTable = Uint32Array.from({ length: 256 }, (_, i) => pack(between(VIRIDIS, i / 255)));

/** Return an expected error (share of wrong pixels) on a scale of 0 to 1; small ones are told apart best. */
export const severity = (error) => Math.sqrt(Math.min(1, error / WORST));

/** Return the CSS colour of an expected error. */
export const errorColor = (error) => `rgb(${between(ERRORS, severity(error)).join(" ")})`;

/** Return an expected error in words: "3.1 %". */
export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

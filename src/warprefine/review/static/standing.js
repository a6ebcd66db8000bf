// What is known of a frame, in words: for the header, for the filmstrip, for screen readers.

import { percent } from "./colors.js";

const KEYS = ["", "key frame", "corrected"];

/** Return the facts of a frame, the most important first. */
export function standing({ columns, cuts, damaged, unsaved }, frame) {
  if (!columns) return [];
  const error = columns.error[frame];
  return [
    KEYS[columns.key[frame]],
    columns.decision[frame],
    unsaved.has(frame) && "not saved",
    damaged.has(frame) && "damaged",
    !columns.labelled[frame] && "no labels",
    !columns.key[frame] && error !== null && `${percent(error)} expected errors`,
    cuts.has(frame) && "first frame after a cut",
  ].filter(Boolean);
}

// What is known of a frame, in words: for the header, for the filmstrip, for screen readers.

import { percent } from "./colors.js";

// The name of a frame's file says more than its number only where it is another one.
const named = (stem, frame) => !/^\d+$/.test(stem) || Number(stem) !== frame;

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
    named(columns.stem[frame], frame) && `named ${columns.stem[frame]}`,
  ].filter(Boolean);
}

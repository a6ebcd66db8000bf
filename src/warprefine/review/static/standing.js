// What is known of a frame, in words: for the header, for the filmstrip, for screen readers.

import { percent } from "./colors.js";

// The name of a frame's file says more than its number only where it is another one.
const named = (stem, frame) => !/^\d+$/.test(stem) || Number(stem) !== frame;

const KEYS = ["", "key frame", "corrected"];

/** Return what was decided on a frame, and whether its labels have changed since: "" is nothing. */
export const decided = ({ decision, stale }, frame) =>
  decision[frame] && stale[frame] ? `${decision[frame]} before labels changed` : decision[frame];

/** Return whether nobody has decided on the labels that a frame has now. */
export const isOpen = ({ decision, stale }, frame) => !decision[frame] || Boolean(stale[frame]);

/** Return the facts of a frame, the most important first. */
export function standing({ columns, cuts, damaged, unsaved, unclosed }, frame) {
  if (!columns) return [];
  const error = columns.error[frame];
  return [
    KEYS[columns.key[frame]],
    decided(columns, frame),
    unsaved.has(frame) && "not saved",
    unclosed.has(frame) && "polygon not closed",
    damaged.has(frame) && "damaged",
    !columns.labelled[frame] && "no labels",
    !columns.key[frame] && error !== null && `${percent(error)} expected errors`,
    cuts.has(frame) && "first frame after a cut",
    named(columns.stem[frame], frame) && `named ${columns.stem[frame]}`,
  ].filter(Boolean);
}

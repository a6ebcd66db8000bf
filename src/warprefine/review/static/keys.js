// Every key of the page, once: this table is what the keyboard does and what the help shows.

import { TOOLS } from "./tools/tools.js";

/** Groups of [keys, words, command, argument]; a command is a function of commands.js. */
export const KEYS = {
  Frames: [
    [["ArrowRight"], "next frame", "step", 1],
    [["ArrowLeft"], "frame before", "step", -1],
    [["PageDown"], "ten frames on", "step", 10],
    [["PageUp"], "ten frames back", "step", -10],
    [["ArrowDown"], "next key frame", "nextKey", 1],
    [["ArrowUp"], "key frame before", "nextKey", -1],
    [["Home"], "first frame", "goTo", 0],
    [["End"], "last frame", "goTo", Number.MAX_SAFE_INTEGER],
    [["n"], "next worst frame that nobody has decided on", "nextWorst"],
  ],
  Decide: [
    [["a"], "accept; again takes it back", "accept"],
    [["r"], "reject; again takes it back", "reject"],
    [["s", "Ctrl+s"], "save the strokes: the frame becomes a key frame", "save"],
  ],
  Look: [
    [["Space"], "overlay on or off", "toggleOverlay"],
    [["c"], "confidence on or off", "toggleHeat"],
    [["v"], "next view beside", "nextBeside"],
    [["+", "="], "zoom in", "zoomIn"],
    [["-"], "zoom out", "zoomOut"],
    [["z"], "fit to the window", "fit"],
    [["?", "h"], "this list", "help"],
  ],
  Draw: [
    ...TOOLS.map(({ name, key, text }) => [[key], text.toLowerCase(), "chooseTool", name]),
    [["["], "smaller brush", "resize", -1],
    [["]"], "larger brush", "resize", 1],
    ...Array.from({ length: 9 }, (_, i) => [[String(i + 1)], `class ${i + 1}`, "chooseClass", i]),
    [["0"], "void", "chooseVoid"],
    [["."], "next class", "nextClass", 1],
    [[","], "class before", "nextClass", -1],
    [["Ctrl+z"], "undo", "undo"],
    [["Ctrl+y", "Ctrl+Shift+z"], "redo", "redo"],
    [["Escape"], "give up the stroke or polygon", "cancel"],
    [["Backspace"], "take the last corner of the polygon back", "back"],
  ],
  "Draw with the keyboard": [
    ...[["Right", 1, 0], ["Left", -1, 0], ["Down", 0, 1], ["Up", 0, -1]].flatMap(([name, x, y]) => [
      [[`Shift+Arrow${name}`], "move the cursor", "moveCursor", [x, y, "step"]],
      [[`Ctrl+Shift+Arrow${name}`], "move the cursor by one pixel", "moveCursor", [x, y, "pixel"]],
    ]),
    [["Enter"], "put the brush down or lift it; set a corner; fill; take", "press"],
    [["Shift+Enter"], "close the polygon", "finish"],
  ],
};

const COMMANDS = new Map(
  Object.values(KEYS).flat().flatMap(([keys, , command, argument]) => keys.map((key) => [key, [command, argument]])),
);

/** Return the name of a pressed key with its modifiers, as in KEYS. */
export function nameOf(event) {
  const typed = event.getModifierState("AltGraph"); // "[" on many keyboards: Ctrl and Alt mean nothing then
  const control = !typed && (event.ctrlKey || event.metaKey);
  const letter = event.key.length === 1;
  const key = event.key === " " ? "Space" : letter ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey && (control || !letter);
  return [control && "Ctrl", !typed && event.altKey && "Alt", shift && "Shift", key].filter(Boolean).join("+");
}

const ARROWS = /^(Arrow|Home|End|Page)/;
const PRESSES = /^(Space|Enter)$/;

// Return whether an element needs a key for itself.
function needs(element, name) {
  if (name.startsWith("Ctrl+") && !element.matches("input[type=number]")) return false;
  if (element.matches("select, textarea, input[type=number]")) return true;
  if (element.matches("input[type=range], input[type=radio]") && ARROWS.test(name)) return true;
  return element.matches("button, summary, input[type=checkbox], input[type=radio]") && PRESSES.test(name);
}

/** Run the command of each key that no other element needs. `everywhere()` allows keys without Ctrl. */
export function connectKeys({ commands, stage, everywhere }) {
  document.addEventListener("keydown", (event) => {
    const name = nameOf(event);
    const found = COMMANDS.get(name);
    if (!found || event.isComposing || document.querySelector("dialog[open]") || needs(event.target, name)) return;
    const onCanvas = stage.contains(event.target) || event.target.id === "strip";
    if (!everywhere() && !onCanvas && !name.startsWith("Ctrl+")) return;
    event.preventDefault();
    commands[found[0]](found[1]);
  });
}

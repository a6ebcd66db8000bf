// The list of keys, as a dialog.

import { KEYS } from "./keys.js";

const SIGNS = {
  ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page up", PageDown: "Page down",
  Escape: "Esc",
};

const dialog = document.getElementById("help");
const element = (name, ...content) => {
  const made = document.createElement(name);
  made.append(...content);
  return made;
};

function keyNames(keys) {
  const texts = keys.map((key) => key.split("+").map((part) => SIGNS[part] ?? (part.length === 1 ? part.toUpperCase() : part)));
  return texts.flatMap((parts, i) => [...(i ? [" or "] : []), element("kbd", parts.filter(Boolean).join(" ") || "+")]);
}

// Keys that do the same in four directions, or to several classes, share a line.
function lines(entries) {
  const merged = new Map();
  for (const [keys, words, command] of entries) {
    if (command === "chooseClass") merged.set("class of that number", ["1–9"]);
    else if (command === "moveCursor") merged.set(words, [keys[0].replace(/Arrow.*/, "arrows")]);
    else merged.set(words, keys);
  }
  return [...merged];
}

/** Fill the dialog and return the function that opens it. */
export function connectHelp() {
  const groups = Object.entries(KEYS).map(([title, entries]) => {
    const list = element("dl", ...lines(entries).flatMap(([words, keys]) =>
      [element("dt", ...keyNames(keys)), element("dd", words)]));
    return element("section", element("h3", title), list);
  });
  document.getElementById("help-keys").append(...groups);
  return () => {
    dialog.showModal();
    dialog.scrollTop = 0; // the focus is on the first control, which is at the end
  };
}

// Form elements of the page, kept in step with the state.

import { TOOLS } from "./tools/tools.js";
import { confidenceTable } from "./colors.js";
import { standing } from "./standing.js";

const byId = (id) => document.getElementById(id);
const option = ([value, text]) => new Option(text, value);

/** Return the views that can be shown beside the labels: [name, words]. */
export function besidesOf({ methods }) {
  const further = methods.length > 1 ? methods.map((name) => [`method:${name}`, name]) : [];
  const sides = [["before", "key frame before"], ["after", "key frame after"], ["segmenter", "segmenter alone"]];
  return [["", "nothing"], ["frame", "frame without labels"], ["saved", "labels as saved"], ...further, ...sides];
}

function bind(state, id, name, { property = "value", convert = (value) => value } = {}) {
  const element = byId(id);
  const update = () => { element[property] = state.now[name]; };
  element.addEventListener("input", () => state.set({ [name]: convert(element[property]) }));
  state.watch([name], update);
  update();
}

function fillTools({ state, commands }) {
  byId("tool").replaceChildren(...TOOLS.map(({ name, key, text }) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "tool", value: name });
    const words = Object.assign(document.createElement("span"), { textContent: `${text} ` });
    words.append(Object.assign(document.createElement("kbd"), { textContent: key.toUpperCase() }));
    radio.addEventListener("change", () => commands.chooseTool(name));
    label.append(radio, words);
    return label;
  }));
  const update = () => {
    const { tool, size } = state.now;
    byId("tool").querySelector(`[value="${tool}"]`).checked = true;
    byId("size-row").hidden = tool !== "brush" && tool !== "eraser";
    byId("take-row").hidden = tool !== "take";
    byId("size-text").textContent = `${size} px`;
    byId("stage").dataset.tool = tool;
  };
  state.watch(["tool", "size"], update);
  update();
}

function fillHeatScale(state) {
  const context = byId("heat-scale").querySelector("canvas").getContext("2d");
  const shades = confidenceTable.filter((_, i) => i % 2 === 0);
  context.putImageData(new ImageData(new Uint8ClampedArray(shades.buffer), shades.length, 1), 0, 0);
  state.watch(["heat"], ({ heat }) => { byId("heat-scale").hidden = !heat; });
}

// Confidence that is not calibrated sorts frames well, and is no probability.
function connectCalibration(state) {
  const update = () => { byId("uncalibrated").hidden = state.now.run.calibrated.includes(state.now.method); };
  state.watch(["method"], update);
  update();
}

function connectHeader({ state, navigation, filmstrip, drafts }) {
  let shown = null;
  const showNumber = () => {
    shown = state.now.frame;
    byId("frame").value = shown;
  };
  const update = () => {
    const { frame, columns, run } = state.now;
    if (frame !== shown) showNumber(); // what changes elsewhere must not undo what is being typed
    if (!columns) return;
    byId("frame").max = columns.error.length - 1;
    byId("standing").textContent = [`of 0–${columns.error.length - 1}`, ...standing(filmstrip.facts(), frame)].join(" · ");
    byId("take-back").hidden = columns.key[frame] !== 2;
    const { length } = drafts.unsaved;
    document.title = `${length ? `(${length} not saved) ` : ""}${run.run} · review`;
    for (const [name, decision] of [["accept", "accepted"], ["reject", "rejected"]]) {
      const button = document.querySelector(`[data-command="${name}"]`);
      const holds = columns.decision[frame] === decision && !columns.stale[frame];
      button.setAttribute("aria-pressed", String(holds));
    }
  };
  byId("frame").addEventListener("change", () => {
    const asked = byId("frame").valueAsNumber;
    const last = Number(byId("frame").max);
    if (asked > last) navigation.say(`There is no frame ${asked}; the last is ${last}.`);
    else navigation.goTo(asked);
    showNumber(); // also where no such frame was asked for
  });
  byId("frame").addEventListener("keydown", ({ key }) => {
    if (key === "Escape") showNumber();
    if (key === "Escape" || key === "Enter") byId("stage").focus({ preventScroll: true }); // the next keys are commands
  });
  byId("video").addEventListener("change", () => navigation.openVideo(Number(byId("video").value)));
  state.watch(["frame", "columns", "edits"], update);
}

/** Connect everything that is clicked or typed into. */
export function connectControls({ state, commands, navigation, filmstrip, drafts, besides }) {
  const { run } = state.now;
  byId("title").textContent = run.run;
  byId("video").replaceChildren(...run.videos.map(({ name }, i) => option([i, name])));
  byId("video").closest("label").hidden = run.videos.length < 2;
  byId("method").replaceChildren(...run.methods.map((name) => option([name, name])));
  byId("method").closest("label").hidden = run.methods.length < 2;
  byId("beside").replaceChildren(...besides.map(option));
  byId("take").replaceChildren(...besides.slice(2).map(option));
  bind(state, "overlay", "overlay", { property: "checked" });
  bind(state, "heat", "heat", { property: "checked" });
  bind(state, "opacity", "opacity", { convert: Number });
  bind(state, "size", "size", { convert: Number });
  for (const name of ["method", "beside", "take"]) bind(state, name, name);
  fillTools({ state, commands });
  fillHeatScale(state);
  connectCalibration(state);
  connectHeader({ state, navigation, filmstrip, drafts });
  document.addEventListener("click", ({ target }) => commands[target.closest("[data-command]")?.dataset.command]?.());
  connectFocus();
}

// A mouse that has clicked a control gives the keyboard back to the frame; the keyboard stays where it is.
function connectFocus() {
  const stage = byId("stage");
  let byPointer = false;
  document.addEventListener("pointerdown", () => { byPointer = true; }, true);
  document.addEventListener("keydown", () => { byPointer = false; }, true);
  const giveBack = ({ target }) => {
    const control = target.closest("button, label, input, select");
    if (byPointer && control && !target.closest("dialog, #conflict")) stage.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => !event.target.closest("select, input[type=number], header label") && giveBack(event));
  document.addEventListener("change", giveBack);
}

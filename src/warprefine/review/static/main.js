// Builds the page: makes each part, and gives it the others that it needs.

import * as api from "./api.js";
import { Cursor } from "./canvas/cursor.js";
import { connectPointer } from "./canvas/pointer.js";
import { View } from "./canvas/view.js";
import { Changes } from "./changes.js";
import { makeCommands } from "./commands.js";
import { connectConflicts } from "./conflicts.js";
import { besidesOf, connectControls } from "./controls.js";
import { Drafts } from "./draft.js";
import { Easel } from "./easel.js";
import { Filmstrip } from "./filmstrip.js";
import { Frames } from "./frames.js";
import { connectHelp } from "./help.js";
import { connectKeys } from "./keys.js";
import { connectLegend } from "./legend.js";
import { complain, say } from "./messages.js";
import { Navigation } from "./navigation.js";
import { Saving } from "./saving.js";
import { Screen } from "./screen.js";
import { createState } from "./state.js";
import { Tools } from "./tools/tools.js";

const stage = document.getElementById("stage");

function firstState(run) {
  return createState({
    run, video: 0, frame: 0, method: run.method, columns: null, shown: null, edits: 0,
    overlay: true, opacity: 60, heat: false, beside: "", hidden: new Set(),
    tool: "move", size: 15, classIndex: 0, take: "segmenter",
  });
}

function build(run) {
  const page = { state: firstState(run), frames: new Frames(), drafts: new Drafts(), say, complain };
  page.view = new View(stage);
  page.screen = new Screen(page);
  page.easel = new Easel(page);
  page.tools = new Tools(page.easel);
  page.navigation = new Navigation(page);
  page.saving = new Saving(page);
  page.saving.onStale = () => page.navigation.loadColumns();
  page.cursor = new Cursor({ view: page.view, say, labels: () => page.screen.map, classes: run.classes });
  page.besides = besidesOf(run);
  page.help = connectHelp();
  page.commands = makeCommands(page);
  page.filmstrip = new Filmstrip({ ...page, goTo: (frame) => page.navigation.goTo(frame) });
  page.changes = new Changes({ ...page, progress: document.getElementById("progress") });
  return page;
}

function connectStage({ view, tools, cursor }) {
  const readout = document.getElementById("readout");
  let pointer = null;
  view.marks = () => [...tools.marks(pointer ?? cursor.at), ...(cursor.at ? [{ cross: cursor.at }] : [])];
  connectPointer(view, {
    tools,
    hover(point) {
      pointer = point && view.contains(point) ? point : null;
      tools.hover(pointer);
      readout.textContent = pointer ? cursor.describe(pointer) : "";
      view.redraw();
    },
  });
}

function guardUnsaved({ drafts, tools }) {
  window.addEventListener("beforeunload", (event) => {
    if (drafts.unsaved.length || tools.unclosed.length || tools.busy) event.preventDefault();
  });
}

async function start() {
  try {
    const run = await api.run();
    if (run.videos.length === 0) return void complain("this run has no video");
    const page = build(run);
    connectControls(page);
    connectLegend(page);
    connectConflicts(page);
    connectKeys({ ...page, stage, everywhere: () => document.getElementById("single-keys").checked });
    connectStage(page);
    guardUnsaved(page);
    await page.navigation.openVideo(0);
    stage.focus({ preventScroll: true });
    page.changes.listen();
  } catch (problem) {
    complain(problem.message);
    throw problem;
  }
}

start();

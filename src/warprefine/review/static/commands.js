// What keys and buttons do, by name.

import { TOOLS } from "./tools/tools.js";

const SIZES = [1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 120]; // pixels, each a third larger
const ZOOM = 1.3;
const STRIDE = 8; // pixels that the cursor moves by with tools that have no size

/** Return all commands, functions of one argument at most. */
export function makeCommands(page) {
  return { ...moving(page), ...deciding(page), ...drawing(page), ...cursorKeys(page), ...looking(page) };
}

const moving = ({ navigation }) => ({
  step: (frames) => navigation.step(frames),
  goTo: (frame) => navigation.goTo(frame),
  nextKey: (direction) => navigation.nextKey(direction),
  nextWorst: () => navigation.nextWorst(),
});

// What is under way belongs to what is saved or undone: a pen is lifted first. Whether a polygon does, only
// the person knows.
function deciding({ saving, tools, complain }) {
  const once = (change) => () => {
    tools.lift();
    if (!tools.hasPolygon) return void change();
    complain("the polygon is not closed, and nothing is saved. P takes it in hand: " +
      "Shift+Enter or a double click closes it, Esc gives it up");
    return undefined;
  };
  return {
    save: once(() => saving.save()),
    accept: once(() => saving.decide("accepted")),
    reject: once(() => saving.decide("rejected")),
    takeBack: () => { tools.drop(); saving.takeBack(); },
  };
}

function drawing({ state, tools, screen, easel, say }) {
  const classes = () => state.now.run.classes;
  const chooseClass = (i) => {
    if (i > classes().length) return;
    state.set({ classIndex: i });
    say(`Class: ${classes()[i]?.name ?? "void"}`);
  };
  const travel = (direction) => {
    if (tools.cancel()) return;
    const rect = screen.draft?.[direction]() ?? null;
    if (!rect) return void say(`Nothing to ${direction}.`);
    screen.repaint(rect);
    easel.drawn();
  };
  return {
    chooseTool(name) {
      tools.choose(name);
      state.set({ tool: name });
      const kept = tools.hasPolygon && name !== "polygon" ? ". The polygon is kept open: P takes it in hand" : "";
      say(`Tool: ${TOOLS.find((tool) => tool.name === name).text.toLowerCase()}${kept}`);
    },
    chooseClass: (i) => i < classes().length && chooseClass(i),
    chooseVoid: () => chooseClass(classes().length),
    nextClass: (step) => chooseClass((state.now.classIndex + step + classes().length + 1) % (classes().length + 1)),
    resize(direction) {
      const { size } = state.now;
      const next = direction > 0 ? SIZES.find((s) => s > size) : SIZES.findLast((s) => s < size);
      if (next) state.set({ size: next });
    },
    undo: () => travel("undo"),
    redo: () => travel("redo"),
    back: () => tools.back(),
  };
}

function cursorKeys({ state, tools, cursor, say }) {
  const strides = () => {
    const { tool, size } = state.now;
    return tool === "brush" || tool === "eraser" ? Math.max(1, Math.round(size / 2)) : STRIDE;
  };
  return {
    moveCursor([x, y, by]) {
      const stride = by === "pixel" ? 1 : strides();
      const at = cursor.move(x * stride, y * stride);
      tools.hover(at);
      tools.move(at);
    },
    press() {
      if (!cursor.at) return void cursor.move(0, 0);
      if (tools.name === "move") return void say("Choose a tool first: B for the brush, P for the polygon.");
      tools.press(cursor.at);
      return undefined;
    },
    finish: () => tools.finish(),
    cancel() {
      if (tools.cancel()) return;
      if (tools.hasPolygon) say("P takes the polygon in hand; Esc then gives it up.");
      else cursor.hide();
    },
  };
}

function looking({ state, view, help, say, besides }) {
  return {
    toggleOverlay() {
      state.set({ overlay: !state.now.overlay });
      say(state.now.overlay ? "Overlay on" : "Overlay off");
    },
    toggleHeat() {
      state.set({ heat: !state.now.heat, overlay: true });
      say(state.now.heat ? "Confidence on" : "Confidence off");
    },
    nextBeside() {
      const names = besides.map(([name]) => name);
      const next = (names.indexOf(state.now.beside) + 1) % names.length;
      state.set({ beside: names[next] });
      say(`Beside: ${besides[next][1]}`);
    },
    zoomIn: () => view.zoom(ZOOM),
    zoomOut: () => view.zoom(1 / ZOOM),
    fit: () => view.fit(),
    help,
  };
}

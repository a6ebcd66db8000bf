// Mouse, pen and touch on the panes: draw with the tool, pan, zoom, read out.

const WHEEL = 1.0015; // zoom per CSS pixel of the wheel

/** Connect the panes' events. `tools` draws, `hover(point)` is told where the pointer is, or null. */
export function connectPointer(view, { tools, hover }) {
  for (const pane of [view.main, view.other]) connectPane(view, pane, { tools, hover });
}

function connectPane(view, pane, { tools, hover }) {
  let held = null; // what the pressed pointer does: "draw" or "pan"
  let last = [0, 0];
  const pointOf = (event) => view.toMap(view.placeOf(event, pane));
  const pans = (event) =>
    event.button !== 0 || event.altKey || pane !== view.main || tools.name === "move";

  pane.canvas.addEventListener("pointerdown", (event) => {
    if (held) return;
    held = pans(event) ? "pan" : "draw";
    last = [event.clientX, event.clientY];
    pane.canvas.setPointerCapture(event.pointerId);
    event.preventDefault(); // no text selection, no autoscroll
    pane.canvas.closest("#stage").focus({ preventScroll: true });
    if (held === "draw" && !tools.down(pointOf(event), { near: 6 / view.scale })) held = null;
  });
  pane.canvas.addEventListener("pointermove", (event) => {
    const points = (event.getCoalescedEvents?.() ?? [event]).map(pointOf);
    hover(pointOf(event));
    if (held === "pan") view.pan(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
    if (held === "draw") for (const point of points.length ? points : [pointOf(event)]) tools.move(point);
  });
  const release = (event) => {
    if (held === "draw") tools.up(pointOf(event));
    held = null;
  };
  pane.canvas.addEventListener("pointerup", release);
  pane.canvas.addEventListener("pointercancel", release);
  pane.canvas.addEventListener("pointerleave", () => hover(null));
  pane.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  pane.canvas.addEventListener("dblclick", () => tools.finish());
  pane.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    view.zoom(WHEEL ** -pixels, view.placeOf(event, pane));
  }, { passive: false });
}

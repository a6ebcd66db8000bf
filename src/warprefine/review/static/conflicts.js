// The question after a conflict: mine, theirs, or both side by side first.

/** Show the question while the draft on screen has a conflict, and do what is chosen. */
export function connectConflicts({ state, screen, saving }) {
  const box = document.getElementById("conflict");
  const text = document.getElementById("conflict-text");

  function update() {
    const theirs = screen.draft?.theirs ?? null;
    const opens = theirs !== null && box.hidden;
    box.hidden = theirs === null;
    if (!opens) return;
    text.textContent = `Frame ${screen.shown.frame} was changed elsewhere while you were drawing. ` +
      "Your strokes are kept here, and nothing of theirs is overwritten until you say so.";
    box.querySelector("button").focus();
  }

  const choices = {
    beside: () => {
      screen.shown.labels = screen.draft.theirs; // "as saved" is what is saved now
      state.set({ beside: "" });
      state.set({ beside: "saved" });
    },
    mine: () => saving.saveMine(),
    theirs: () => saving.takeTheirs(),
  };
  box.addEventListener("click", async ({ target }) => {
    const choice = target.closest("[data-choice]")?.dataset.choice;
    if (!choice || !screen.draft?.theirs) return;
    await choices[choice]();
    state.set({ edits: state.now.edits + 1 });
    if (box.hidden) document.getElementById("stage").focus();
  });
  state.watch(["edits", "shown"], update);
}

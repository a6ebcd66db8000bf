// What the page shows, in one place: parts set it, and are called when what they watch has changed.

/** Return a state: `now` holds the values, `set` changes some, `watch` calls back when named ones changed. */
export function createState(values) {
  const watchers = [];
  const state = {
    now: Object.freeze({ ...values }),
    set(patch) {
      const changed = Object.keys(patch).filter((name) => !Object.is(patch[name], state.now[name]));
      if (changed.length === 0) return;
      state.now = Object.freeze({ ...state.now, ...patch });
      for (const { names, call } of watchers) {
        if (changed.some((name) => names.includes(name))) call(state.now);
      }
    },
    watch(names, call) {
      watchers.push({ names, call });
    },
  };
  return state;
}

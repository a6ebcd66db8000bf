// Pictures and label maps of frames, kept while memory allows, and those of neighbours fetched ahead.

import * as api from "./api.js";

const BYTES = 256 * 2 ** 20;
const NEVER_DROPPED = 16; // the newest entries: what is on screen and what was just fetched ahead
const AHEAD = [1, -1, 2, 3];

const sizeOf = (value) => (value.values ? value.values.length : 4 * value.width * value.height);

export class Frames {
  #entries = new Map(); // from the one that was not used for longest to the latest
  #bytes = 0;
  #lastSource = Promise.resolve();

  image = (video, frame) => this.#get(`${video}/${frame}/image`, () => api.image(video, frame));
  labels = (video, frame, method) =>
    this.#get(`${video}/${frame}/labels/${method}`, () => api.labels(video, frame, method));
  confidence = (video, frame, method) =>
    this.#get(`${video}/${frame}/confidence/${method}`, () => api.confidence(video, frame, method));
  /** Labels of one source, which the server computes in seconds: one by one, those still `wanted()` by then. */
  source(video, frame, of, { wanted }) {
    return this.#get(`${video}/${frame}/source/${of}`, () => {
      const load = () => (wanted() ? api.source(video, frame, of) : Promise.reject(new Error("no longer wanted")));
      const loading = this.#lastSource.then(load);
      this.#lastSource = loading.catch(() => {});
      return loading;
    });
  }

  /** Fetch the frames around one, those in the direction of travel first, while `wanted` is true. */
  async fetchAhead(video, frame, { method, count, direction, labelled, wanted }) {
    for (const step of AHEAD) {
      if (!wanted()) return;
      const next = frame + step * direction;
      if (next < 0 || next >= count) continue;
      const parts = [this.image(video, next), ...(labelled[next] ? [this.labels(video, next, method)] : [])];
      await Promise.allSettled(parts); // one frame after another: they must not delay the one that is asked for
    }
  }

  /** Forget all of a frame but its picture: labels have changed. */
  forget(video, frame) {
    for (const key of [...this.#entries.keys()]) {
      if (key.startsWith(`${video}/${frame}/`) && !key.endsWith("/image")) this.#drop(key);
    }
  }

  /** Forget all but pictures: any labels may have changed. */
  forgetLabels() {
    for (const key of [...this.#entries.keys()]) if (!key.endsWith("/image")) this.#drop(key);
  }

  #get(key, load) {
    const known = this.#entries.get(key);
    if (known) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.promise;
    }
    const entry = { promise: load(), bytes: 0, value: null };
    this.#entries.set(key, entry);
    entry.promise.then((value) => this.#arrived(key, entry, value), () => this.#remove(key, entry));
    return entry.promise;
  }

  #arrived(key, entry, value) {
    if (this.#entries.get(key) !== entry) return;
    Object.assign(entry, { bytes: sizeOf(value), value });
    this.#bytes += entry.bytes;
    for (const old of [...this.#entries.keys()].slice(0, -NEVER_DROPPED)) {
      if (this.#bytes > BYTES) this.#drop(old);
    }
  }

  #drop(key) {
    const entry = this.#entries.get(key);
    this.#remove(key, entry);
    entry.value?.close?.(); // pictures hold memory that the collector does not see
  }

  #remove(key, entry) {
    if (this.#entries.get(key) !== entry) return;
    this.#bytes -= entry.bytes;
    this.#entries.delete(key);
  }
}

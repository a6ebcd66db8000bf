// Requests to the review server: one function per address, errors with the server's own words.

import { decodeGray, encodeGray } from "./png.js";

/** An answer that is no success. `status` is 0 where the server did not answer at all. */
export class ApiError extends Error {
  constructor(message, { status, version = null }) {
    super(message);
    this.status = status;
    this.version = version;
  }
}

// What the numbers in addresses stand for. A server of another run, at the same port, refuses them; and the
// browser takes no picture of another run for one of this.
let identity = null;
const ofRun = (path) => (identity === null ? "" : `${path.includes("?") ? "&" : "?"}run=${identity}`);
const addressOf = (path) => `/api/${path}${ofRun(path)}`;

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(addressOf(path), { credentials: "same-origin", ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError("the server does not answer", { status: 0 });
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const message = typeof answer.error === "string" ? answer.error : `the server answers ${response.status}`;
  throw new ApiError(message, { status: response.status, version: answer.version ?? null });
}

const json = async (path, options) => (await request(path, options)).json();
const at = (video, frame, what) => `videos/${video}/frames/${frame}/${what}`;
const ofMethod = (method) => `?method=${encodeURIComponent(method)}`;
const quoted = (version) => `"${version}"`;

async function gray(path) {
  const response = await request(path, { cache: "no-store" });
  const map = await decodeGray(new Uint8Array(await response.arrayBuffer()));
  const tag = /^(?:W\/)?"(\d+)"$/.exec(response.headers.get("ETag") ?? "");
  return { ...map, version: tag ? Number(tag[1]) : null };
}

/** Return what the run is; all later requests are about this one. */
export async function run() {
  const about = await json("run");
  identity = about.identity;
  return about;
}

export const frames = (video, method) => json(`videos/${video}/frames${ofMethod(method)}`);
export const labels = (video, frame, method) => gray(at(video, frame, "labels") + ofMethod(method));
export const confidence = (video, frame, method) => gray(at(video, frame, "confidence") + ofMethod(method));
export const source = (video, frame, of) => gray(at(video, frame, "source") + `?of=${of}`);
export const thumbnailAddress = (video, frame) => addressOf(at(video, frame, "thumbnail"));
export const changes = (since) => json(`changes?since=${since}`);

/** Return the picture of a frame, decoded away from the main thread. */
export async function image(video, frame) {
  const response = await request(at(video, frame, "image"));
  return createImageBitmap(await response.blob());
}

/** Save a corrected label map over the version that it was drawn on; 409 where another is saved by now. */
export async function saveLabels(video, frame, { values, width, height, version }) {
  const body = await encodeGray({ values, width, height });
  const headers = { "Content-Type": "image/png", "If-Match": quoted(version) };
  return json(at(video, frame, "labels"), { method: "PUT", body, headers });
}

export const takeBack = (video, frame, version) =>
  json(at(video, frame, "labels"), { method: "DELETE", headers: { "If-Match": quoted(version) } });

export const decide = (video, frame, decision, version) =>
  json(at(video, frame, "decision"), {
    method: "POST",
    body: JSON.stringify({ decision, version }),
    headers: { "Content-Type": "application/json" },
  });

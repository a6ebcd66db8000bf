"use strict";

// Shows one frame with one layer over it: the labels, errors or confidence of one method.
(() => {
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const viewer = document.getElementById("viewer");
  if (!viewer || data.clips.length === 0) return;
  const part = (name) => viewer.querySelector(`[data-part="${name}"]`);
  const chosen = (name) => viewer.querySelector(`input[name="${name}"]:checked`)?.value;
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const classNames = new Map(data.classes.map(({ name, color }) => [color.join(), name]));

  const currentClip = () => data.clips[part("clip").value];
  const currentFrame = () => currentClip().frames[part("frame").value];

  function fillChoice(name, values, checked) {
    part(name).replaceChildren(...values.map((value) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name, value, checked: value === checked });
      const text = document.createElement("span");
      text.textContent = value;
      label.append(input, text);
      return label;
    }));
  }

  function layerAddress(frame) {
    const method = chosen("method");
    if (frame.distance === 0) return chosen("show") === "labels" ? frame.labels.truth : undefined;
    if (method === "truth" && chosen("show") !== "labels") return undefined;
    return frame[chosen("show")][method];
  }

  function caption(frame) {
    if (frame.distance === 0) return `frame ${frame.number} (${frame.stem}): key frame, labelled by hand`;
    const right = frame.right[chosen("method")];
    const score = right == null ? "" : ` · ${right.toFixed(1)} % of the pixels right`;
    const stage = frame.stages[chosen("method")];
    const origin = stage ? ` · stage ${stage}` : "";
    return `frame ${frame.number} (${frame.stem}) · ${frame.distance} from the key frame${origin}${score}`;
  }

  function show() {
    const frame = currentFrame();
    const address = layerAddress(frame);
    part("image").src = frame.image;
    part("image").onload = fitStage;
    part("layer").hidden = !address;
    if (address) part("layer").src = address;
    part("layer").style.opacity = part("opacity").value / 100;
    part("layer").style.imageRendering = chosen("show") === "confidence" ? "auto" : "pixelated";
    part("caption").textContent = caption(frame);
    part("readout").textContent = "";
  }

  // As large as the page allows, but never higher than the window.
  function fitStage() {
    const { naturalWidth, naturalHeight } = part("image");
    part("stage").style.maxWidth = `calc(74vh * ${naturalWidth / naturalHeight})`;
  }

  function showClip() {
    const { frames } = currentClip();
    part("frame").max = frames.length - 1;
    const far = frames.reduce((best, frame, i) => (frame.distance >= frames[best].distance ? i : best), 0);
    part("frame").value = far;
    show();
  }

  // Names the class under the pointer, from the exact colour of the layer's pixel.
  function readOut(event) {
    const layer = part("layer");
    if (layer.hidden || chosen("show") !== "labels" || !layer.naturalWidth) return;
    const box = layer.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) / box.width * layer.naturalWidth);
    const y = Math.floor((event.clientY - box.top) / box.height * layer.naturalHeight);
    canvas.canvas.width = canvas.canvas.height = 1;
    canvas.drawImage(layer, -x, -y);
    const [r, g, b, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    part("readout").textContent = alpha === 0 ? "void" : classNames.get([r, g, b].join()) ?? "";
  }

  data.clips.forEach(({ name }, i) => part("clip").add(new Option(name, i)));
  for (const row of viewer.querySelectorAll('[data-for="clip"]')) row.hidden = data.clips.length === 1;
  const frames = data.clips.flatMap((clip) => clip.frames);
  const hasTruth = frames.some((frame) => frame.distance > 0 && frame.labels.truth);
  fillChoice("method", [...(hasTruth ? ["truth"] : []), ...data.methods], data.leading);
  const shows = ["labels", "errors", "confidence"];
  fillChoice("show", shows.filter((kind) => frames.some((frame) => Object.keys(frame[kind]).length)), "labels");
  viewer.addEventListener("input", (event) => (event.target === part("clip") ? showClip() : show()));
  part("stage").addEventListener("pointermove", readOut);
  part("stage").addEventListener("pointerleave", () => { part("readout").textContent = ""; });
  viewer.hidden = false;
  showClip();
})();

// A click on a panel shows it pixel for pixel, another one fits it to the page again.
for (const panel of document.querySelectorAll(".panel")) {
  panel.addEventListener("click", () => panel.classList.toggle("full"));
}

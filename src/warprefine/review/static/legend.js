// The classes: which one is in hand, and which are shown.

const list = document.getElementById("legend");

function swatch(color) {
  const element = Object.assign(document.createElement("span"), { className: color ? "swatch" : "swatch clear" });
  if (color) element.style.background = `rgb(${color.join(" ")})`;
  return element;
}

function row({ name, color }, i, { state }) {
  const item = document.createElement("li");
  const choose = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: i });
  const text = Object.assign(document.createElement("span"), { className: "name", textContent: name });
  const key = Object.assign(document.createElement("kbd"), { textContent: color ? i + 1 : 0 });
  choose.append(radio, swatch(color), text, ...(i < 9 || !color ? [key] : []));
  radio.addEventListener("change", () => state.set({ classIndex: i }));
  item.append(choose);
  if (!color) return item; // void has no layer that could be hidden
  const eye = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  eye.setAttribute("aria-label", `show ${name}`);
  eye.title = `show ${name}`;
  eye.addEventListener("change", () => {
    const hidden = new Set(state.now.hidden);
    if (eye.checked) hidden.delete(i);
    else hidden.add(i);
    state.set({ hidden });
  });
  item.append(eye);
  return item;
}

/** Fill the legend with the classes of the run, and keep it in step with the state. */
export function connectLegend({ state }) {
  const classes = [...state.now.run.classes, { name: "void", color: null }];
  list.replaceChildren(...classes.map((entry, i) => row(entry, i, { state })));
  const update = () => {
    list.querySelector(`input[type="radio"][value="${state.now.classIndex}"]`).checked = true;
    [...list.children].forEach((item, i) => item.classList.toggle("hidden-class", state.now.hidden.has(i)));
  };
  state.watch(["classIndex", "hidden"], update);
  update();
}

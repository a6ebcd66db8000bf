// Messages for eyes and screen readers: one line, the latest.

const element = document.getElementById("message");

/** Show a message; screen readers speak it when they have nothing else to say. */
export function say(text) {
  element.classList.remove("problem");
  element.textContent = text;
}

/** Show what went wrong, and how it can be mended. */
export function complain(text) {
  element.classList.add("problem");
  element.textContent = `Problem: ${text}`;
}

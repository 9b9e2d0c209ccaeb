/** Words while the canvas is empty, and a line while the server does not answer. */

import { element } from "./page.js";

const PATIENCE_MS = 400; // a picture that appears sooner needs no words
const LOOK_MS = 200;

/**
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./connection.js").Connection} connection
 */
export function startWaiting(canvas, connection) {
  const [line, words] = [element("connection"), element("waiting")];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let looking;
  let since = 0;
  const look = () => {
    if (hasPicture(canvas.element)) since = performance.now();
    words.hidden = performance.now() - since < PATIENCE_MS;
  };
  const begin = () => {
    clearInterval(looking);
    since = performance.now();
    looking = setInterval(look, LOOK_MS);
  };
  const end = () => {
    clearInterval(looking);
    words.hidden = true;
  };
  canvas.addEventListener("busy", begin);
  canvas.addEventListener("idle", end);
  connection.addEventListener("lost", () => (line.hidden = false));
  connection.addEventListener("found", () => (line.hidden = true));
}

/** @param {HTMLElement} place */
function hasPicture(place) {
  const view = place.getBoundingClientRect();
  return [...place.querySelectorAll("canvas[data-shown], img.ground")].some((tile) => {
    const box = tile.getBoundingClientRect();
    return box.right > view.left && box.left < view.right && box.bottom > view.top && box.top < view.bottom;
  });
}

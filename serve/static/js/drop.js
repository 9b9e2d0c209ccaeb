/** Drop zone for one photograph, with a preview. */

import { listen } from "./page.js";

const PREVIEW_PX = 640; // longest side of the picture that is shown

/**
 * @param {HTMLElement} place contains an input, a canvas, and a hint shown while empty
 * @returns {HTMLInputElement} the input
 */
export function startDrop(place) {
  const input = /** @type {HTMLInputElement} */ (place.querySelector("input[type=file]"));
  const canvas = /** @type {HTMLCanvasElement} */ (place.querySelector("canvas"));
  const words = /** @type {HTMLElement} */ (place.querySelector("span"));
  const invitation = words.textContent;
  acceptDrops(place, input);
  listen(input, "change", () => {
    const file = input.files?.[0];
    words.textContent = file ? file.name : invitation;
    return show(canvas, file);
  });
  return input;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {File | undefined} file
 */
async function show(canvas, file) {
  canvas.hidden = true;
  if (!file) return;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return; // the server knows more kinds, and says what is wrong with the others
  const scale = Math.min(1, PREVIEW_PX / Math.max(picture.width, picture.height));
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  picture.close();
}

/**
 * @param {HTMLElement} place
 * @param {HTMLInputElement} input
 */
function acceptDrops(place, input) {
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (!event.dataTransfer?.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change"));
  });
}

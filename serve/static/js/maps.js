/** Painted maps: save the styles of the visible part as a picture with one colour per style, and open a changed one. */

import { fetchMap } from "./api.js";
import { element, listen, saveFile } from "./page.js";

const REGION = /(-?\d+),(-?\d+),(\d+),(\d+)/; // in the name of the file

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
export function startMaps(session, canvas) {
  const input = element("map-file", HTMLInputElement);
  listen(element("map-save"), "click", async () => {
    const { x, y, w, h } = canvas.visible;
    saveFile(await fetchMap(session.saved, { x, y, w, h }), `map ${x},${y},${w},${h}.png`);
  });
  listen(input, "change", () => {
    const file = input.files?.[0];
    input.value = "";
    return file && session.paint(file, regionIn(file.name) ?? canvas.visible);
  });
}

/** @param {string} name */
function regionIn(name) {
  const found = REGION.exec(name);
  if (!found) return null;
  const [x, y, w, h] = found.slice(1).map(Number);
  return { x, y, w, h };
}

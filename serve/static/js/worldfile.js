/** World files: save the document of the open world, and open one as a new world. */

import { parse, stringify } from "./json.js";
import { startMaps } from "./maps.js";
import { element, listen, saveFile } from "./page.js";

const MOST_BYTES = 2 ** 24; // as the server

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {() => void} opened
 */
export function startWorldFiles(session, canvas, opened) {
  startMaps(session, canvas);
  const input = element("world-file", HTMLInputElement);
  listen(element("world-save"), "click", () => {
    const { name, world } = session.current;
    if ("anchors" in world) throw new Error("A world with photographs has several files: copy them from the server.");
    saveFile(new Blob([`${stringify(world)}\n`], { type: "application/json" }), `${fileStem(name)}.json`);
  });
  listen(input, "change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    await session.create({ name: file.name.replace(/\.json$/i, "").slice(0, 80) || "World", world: await read(file) });
    opened();
  });
}

/** @param {File} file */
async function read(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is no world file: it has more than ${MOST_BYTES} bytes.`);
  try {
    return parse(await file.text());
  } catch {
    throw new Error(`${file.name} is not a world file: it is not JSON.`);
  }
}

/** @param {string} name */
function fileStem(name) {
  return name.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").toLowerCase() || "world";
}

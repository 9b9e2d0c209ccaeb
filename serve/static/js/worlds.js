/** The panel of worlds: create one from a seed, and list the stored ones. */

import * as api from "./api.js";
import { parseSeed } from "./link.js";
import { element, listen, load } from "./page.js";
import { randomSeed } from "./resample.js";
import { isLeaving, rowActions } from "./worldrow.js";

const THUMBNAIL_ZOOM = -2; // a tile shows 1,024 px, about the view height of the larger models
const DRAWN_IN_FULL = -1; // for models of one scale, where each level costs four times the previous one

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {{opened: () => void, zoom: api.Zoom}} page
 * @returns {() => Promise<void>} fills the list anew
 */
export function startWorlds(session, canvas, { opened, zoom }) {
  const list = element("worlds");
  const seedField = element("world-seed", HTMLInputElement);
  const nameField = element("world-name", HTMLInputElement);

  /** @param {api.WorldEntry} entry */
  const row = (entry) => worldRow(entry, { current: entry.id === session.record?.id, zoom, open, changed });
  const changed = () => fill();
  /** @param {api.WorldEntry} entry */
  const open = async (entry) => {
    await session.open(entry.id);
    opened();
  };
  const fill = async () => {
    const entries = await api.worlds();
    entries.sort((a, b) => b.modified.localeCompare(a.modified));
    list.replaceChildren(...entries.filter(({ id }) => !isLeaving(id)).map(row));
    const open = entries.find(({ id }) => id === session.record?.id);
    if (open && open.name !== session.current.name) await session.refresh(); // renamed
  };
  listen(element("world-dice"), "click", () => (seedField.value = String(randomSeed())));
  listen(element("world-form"), "submit", async (event) => {
    event.preventDefault();
    const seed = parseSeed(seedField.value);
    if (seed === null) throw new Error("The seed of a world is a whole number of at most 64 bits.");
    const name = nameField.value.trim();
    await session.create({ ...(name ? { name } : {}), world: { seed } });
    nameField.value = "";
    canvas.goTo({ x: 0, y: 0, z: 0 });
    opened();
  });
  return fill;
}

/**
 * @param {api.WorldEntry} entry
 * @param {object} context
 * @param {boolean} context.current
 * @param {api.Zoom} context.zoom
 * @param {(entry: api.WorldEntry) => Promise<void>} context.open
 * @param {() => Promise<void>} context.changed
 */
function worldRow(entry, { current, zoom, open, changed }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "row";
  if (current) button.setAttribute("aria-current", "true");
  const words = document.createElement("span");
  words.textContent = entry.name;
  const when = document.createElement("small");
  when.textContent = new Date(entry.modified).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const level = Math.min(DRAWN_IN_FULL, ...zoom.pictures.filter((z) => z >= THUMBNAIL_ZOOM));
  button.append(thumbnail(entry, level), words, when);
  listen(button, "click", () => open(entry));
  item.append(button);
  item.append(rowActions(entry, { current, name: words, changed }));
  return item;
}

/**
 * Two tiles; CSS crops them around the horizon.
 * @param {api.WorldEntry} entry
 * @param {number} zoom
 */
function thumbnail(entry, zoom) {
  const frame = document.createElement("span");
  frame.className = "world-picture";
  for (const y of [-1, 0]) {
    const half = document.createElement("img");
    half.alt = "";
    load(half, api.tileUrl(entry, zoom, 0, y));
    frame.append(half);
  }
  return frame;
}

/** One world in the list: open, rename, duplicate, delete with undo. */

import * as api from "./api.js";
import { listen, toast } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";
const UNDO_MS = 8000; // a deleted world can be restored for so long

/** @type {Set<string>} ids of worlds that are about to be deleted */
const leaving = new Set();

/** @param {string} id */
export const isLeaving = (id) => leaving.has(id);

/**
 * The buttons next to a world's name.
 * @param {api.WorldEntry} entry
 * @param {{current: boolean, name: HTMLElement, changed: () => Promise<void>}} row `name`: shows the name
 */
export function rowActions(entry, { current, name, changed }) {
  const actions = document.createElement("span");
  actions.className = "row-actions";
  const rename = iconButton("rename", `Rename ${entry.name}`);
  listen(rename, "click", () => startRenaming(entry, name, changed));
  const copy = iconButton("copy", `Duplicate ${entry.name}`);
  listen(copy, "click", async () => {
    await api.duplicateWorld(entry.id);
    await changed();
  });
  actions.append(rename, copy);
  if (current) return actions;
  const remove = iconButton("close", `Delete ${entry.name}`);
  listen(remove, "click", () => removeLater(entry, changed));
  actions.append(remove);
  return actions;
}

/**
 * @param {string} sign name of the icon
 * @param {string} label
 */
function iconButton(sign, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon small";
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `static/icons/icons.svg#${sign}`);
  picture.append(use);
  button.append(picture);
  button.title = label;
  button.setAttribute("aria-label", label);
  return button;
}

/**
 * Replace the name by a field. Enter or leaving the field renames the world, Escape does not.
 * @param {api.WorldEntry} entry
 * @param {HTMLElement} name
 * @param {() => Promise<void>} changed
 */
function startRenaming(entry, name, changed) {
  const row = /** @type {HTMLElement} */ (name.closest("li"));
  const field = document.createElement("input");
  field.value = entry.name;
  field.maxLength = 80;
  field.setAttribute("aria-label", "Name of the world");
  row.replaceChildren(field);
  field.focus();
  field.select();
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      field.value = entry.name;
    }
    if (event.key === "Enter" || event.key === "Escape") field.blur();
  });
  listen(field, "blur", async () => {
    const wanted = field.value.trim();
    if (wanted && wanted !== entry.name) await api.describeWorld(entry.id, { name: wanted });
    await changed();
  });
}

/**
 * Remove a world from the list now and from the server later, unless the person restores it.
 * @param {api.WorldEntry} entry
 * @param {() => Promise<void>} changed
 */
async function removeLater(entry, changed) {
  leaving.add(entry.id);
  const timer = setTimeout(() => void api.deleteWorld(entry.id).finally(() => leaving.delete(entry.id)), UNDO_MS);
  const restore = () => {
    clearTimeout(timer);
    leaving.delete(entry.id);
    return changed();
  };
  toast(`${entry.name} is deleted.`, { ms: UNDO_MS, action: { label: "Restore", act: restore } });
  await changed();
}

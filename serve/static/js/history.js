/** The history of the open world as pictures: press one to go there by undo or redo. */

import * as api from "./api.js";
import { element, listen } from "./page.js";
import { thumbnail } from "./pictures.js";

const MOST = 24; // pictures, the newest ones
const SIDE_PX = 128;

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {api.Zoom} zoom
 * @returns {() => Promise<void>} fills the list anew
 */
export function startHistory(session, canvas, zoom) {
  const place = element("history");
  /** @type {Map<string, Promise<HTMLCanvasElement>>} */
  const pictures = new Map();

  /** @param {string} revision @param {api.Rect} area */
  const picture = (revision, area) => {
    const key = `${revision} ${Object.values(area).join(" ")}`;
    const found = pictures.get(key) ?? thumbnail({ id: session.current.id, revision }, area, zoom, SIDE_PX);
    pictures.set(key, found);
    return found;
  };
  const fill = async () => {
    const revisions = await api.revisions(session.current.id);
    const at = revisions.findIndex(({ current }) => current);
    const area = canvas.visible;
    const first = Math.max(0, revisions.length - MOST);
    const buttons = revisions.slice(first).map(({ revision, current }, i) => {
      const steps = first + i - at;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "version";
      button.setAttribute("aria-label", label(steps));
      button.setAttribute("aria-pressed", String(current));
      listen(button, "click", () => go(session, steps).then(fill));
      void picture(revision, area).then((drawn) => button.replaceChildren(copyOf(drawn)));
      return button;
    });
    place.replaceChildren(...buttons.reverse());
  };
  return fill;
}

/** @param {number} steps */
function label(steps) {
  if (!steps) return "The present state";
  const count = Math.abs(steps) === 1 ? "1 change" : `${Math.abs(steps)} changes`;
  return steps < 0 ? `${count} earlier` : `${count} later`;
}

/**
 * @param {import("./session.js").Session} session
 * @param {number} steps
 */
async function go(session, steps) {
  for (let i = 0; i < Math.abs(steps); i += 1) await (steps < 0 ? session.undo() : session.redo());
}

/** @param {HTMLCanvasElement} picture which can be shown in one place only */
function copyOf(picture) {
  const copy = document.createElement("canvas");
  copy.width = picture.width;
  copy.height = picture.height;
  copy.getContext("2d")?.drawImage(picture, 0, 0);
  return copy;
}

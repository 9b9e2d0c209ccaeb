/** A small map of the surroundings: the coarsest picture, what a person placed there, and the visible part. */

import { tileSide } from "./api.js";
import { element, listen } from "./page.js";
import { drawArea } from "./pictures.js";

const VIEWS = 3; // the map is at least so many views wide
const MOST_VIEWS = 24; // a wider map shows too little of the view
const MOST_TILES = 24; // of a picture; a larger part has marks only
const MARK_PX = 3;

/** @typedef {import("./api.js").Rect} Rect */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./api.js").Zoom} zoom
 * @param {(world: import("./api.js").World) => Rect[]} boxesOf what a person placed in a world
 */
export function startOverview(session, canvas, zoom, boxesOf) {
  const [box, button] = [element("view-map", HTMLInputElement), element("overview", HTMLButtonElement)];
  const paper = element("overview-paper", HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (paper.getContext("2d"));
  /** @type {Rect} */
  let area = { x: 0, y: 0, w: 1, h: 1 };
  /** @type {{revision: string, area: Rect, picture: HTMLCanvasElement | null} | null} */
  let drawn = null;

  const draw = () => {
    if (!box.checked || !session.record) return;
    const view = canvas.visible;
    const boxes = boxesOf(session.current.world);
    if (!fits(view, area)) area = areaAround(view, boxes, paper.width / paper.height);
    context.clearRect(0, 0, paper.width, paper.height);
    if (drawn?.area === area && drawn.picture) context.drawImage(drawn.picture, 0, 0);
    context.fillStyle = "#d13a8a";
    drawMarks(context, area, { boxes, view, scale: paper.width / area.w });
  };
  const renew = async () => {
    if (!box.checked || (drawn?.area === area && drawn.revision === session.current.revision)) return;
    const asked = (drawn = { revision: session.current.revision, area, picture: null });
    button.setAttribute("aria-busy", "true");
    const picture = await pictureOf(session.current, area, paper, Math.min(...zoom.pictures));
    if (drawn !== asked) return;
    drawn = { ...asked, picture };
    button.setAttribute("aria-busy", "false");
    draw();
  };
  listen(box, "change", () => {
    button.hidden = !box.checked;
    draw();
    return renew();
  });
  session.addEventListener("change", draw);
  canvas.addEventListener("move", draw);
  canvas.addEventListener("idle", () => void renew()); // tiles of the view come first
  listen(button, "click", (/** @type {MouseEvent} */ event) => follow(event, canvas, area));
}

/**
 * Go to the place that was pressed on the map of `area`; from the keyboard, show all of the area.
 * @param {MouseEvent} event
 * @param {import("./canvas.js").Canvas} canvas
 * @param {Rect} area
 */
function follow({ offsetX, offsetY, detail, target }, canvas, area) {
  if (!detail || !(target instanceof HTMLElement)) return canvas.fit(area);
  const scale = area.w / target.clientWidth;
  return canvas.goTo({ x: Math.round(area.x + offsetX * scale), y: Math.round(area.y + offsetY * scale) });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Rect} area of the map
 * @param {{boxes: Rect[], view: Rect, scale: number}} marks filled boxes, and the outline of the view
 */
function drawMarks(context, area, { boxes, view, scale }) {
  context.globalAlpha = 0.6;
  for (const { x, y, w, h } of boxes) {
    const [width, height] = [Math.max(MARK_PX, w * scale), Math.max(MARK_PX, h * scale)];
    const [left, top] = [(x + w / 2 - area.x) * scale - width / 2, (y + h / 2 - area.y) * scale - height / 2];
    context.fillRect(left, top, width, height);
  }
  context.globalAlpha = 1;
  for (const [colour, width] of /** @type {const} */ ([["#fff", 4], ["#14181c", 1.5]])) {
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.strokeRect((view.x - area.x) * scale, (view.y - area.y) * scale, view.w * scale, view.h * scale);
  }
}

/**
 * Whether a view lies in an area of a map, and is not too small in it.
 * @param {Rect} view
 * @param {Rect} area
 */
function fits(view, area) {
  const within =
    view.x >= area.x && view.y >= area.y && view.x + view.w <= area.x + area.w && view.y + view.h <= area.y + area.h;
  return within && area.w <= MOST_VIEWS * view.w;
}

/**
 * Return the area of a map: the surroundings of the view, and the boxes that are not too far away.
 * @param {Rect} view
 * @param {Rect[]} boxes
 * @param {number} aspect width by height
 * @returns {Rect}
 */
function areaAround(view, boxes, aspect) {
  const [x, y] = [view.x + view.w / 2, view.y + view.h / 2];
  const most = (MOST_VIEWS * view.w) / 2;
  let reach = (VIEWS * Math.max(view.w, view.h * aspect)) / 2;
  for (const box of boxes) {
    const across = Math.max(Math.abs(box.x - x), Math.abs(box.x + box.w - x));
    const down = Math.max(Math.abs(box.y - y), Math.abs(box.y + box.h - y)) * aspect;
    if (Math.max(across, down) * 1.1 <= most) reach = Math.max(reach, 1.1 * Math.max(across, down));
  }
  const [w, h] = [Math.round(2 * reach), Math.round((2 * reach) / aspect)];
  return { x: Math.round(x - reach), y: Math.round(y - h / 2), w, h };
}

/**
 * Draw an area in the size of `paper`, null if it is too large.
 * @param {{id: string, revision: string}} world
 * @param {Rect} area
 * @param {HTMLCanvasElement} paper
 * @param {number} z level of the tiles
 */
async function pictureOf(world, area, paper, z) {
  const px = tileSide(z) / 2 ** z;
  if ((Math.ceil(area.w / px) + 1) * (Math.ceil(area.h / px) + 1) > MOST_TILES) return null;
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [paper.width, paper.height];
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  context.drawImage(await drawArea(world, area, z), 0, 0, paper.width, paper.height);
  return picture;
}

/** Show a coarse picture of the painted area at once, above the old tiles, until the sharp ones are there. */

import { fetchTile } from "./api.js";
import { toLatLng } from "./canvas.js";
import { TILE_PX } from "./tiles.js";

const COARSE = 3; // levels below the view, at most
const SOFT_PX = 24; // blurred edge of the area, on the screen
const LONGEST_MS = 20_000; // removes an answer whose sharp tiles do not arrive

/** @typedef {import("./api.js").Rect} Rect */

export class Answer {
  #canvas;
  #zoom;
  /** @type {Set<L.ImageOverlay>} */
  #shown = new Set();

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {import("./api.js").Zoom} zoom
   */
  constructor(canvas, zoom) {
    this.#canvas = canvas;
    this.#zoom = zoom;
    canvas.map.createPane("answer").style.zIndex = "250"; // above tiles, below pins
    new MutationObserver(() => this.#settled()).observe(canvas.element, { attributeFilter: ["aria-busy"] });
    canvas.map.on("zoomstart", () => this.clear());
  }

  clear() {
    for (const overlay of this.#shown) overlay.remove();
    this.#shown.clear();
  }

  /**
   * Draw `area` of a revision with the tiles of a coarse level.
   * @param {{id: string, revision: string}} world
   * @param {Rect} area px of the world
   */
  async show(world, area) {
    const z = this.#level();
    if (z === null) return;
    const side = TILE_PX * 2 ** -z;
    const [left, top] = [Math.floor(area.x / side), Math.floor(area.y / side)];
    const [right, bottom] = [Math.floor((area.x + area.w) / side), Math.floor((area.y + area.h) / side)];
    const picture = document.createElement("canvas");
    picture.width = (right - left + 1) * TILE_PX;
    picture.height = (bottom - top + 1) * TILE_PX;
    const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
    const stop = new AbortController();
    const tiles = [];
    for (let y = top; y <= bottom; y += 1) for (let x = left; x <= right; x += 1) tiles.push({ x, y });
    const drawn = tiles.map(async ({ x, y }) => {
      const address = { world: { id: world.id, revision: world.revision }, z, x, y, px: TILE_PX };
      const tile = await fetchTile(address, { signal: stop.signal, urgency: () => [0, 0] });
      context.drawImage(tile, (x - left) * TILE_PX, (y - top) * TILE_PX, TILE_PX, TILE_PX);
      tile.close();
    });
    await Promise.all(drawn).catch(() => undefined); // the sharp tiles report what fails
    this.#overlay(cropped(picture, area, { x: left * side, y: top * side, scale: 2 ** z }, this.#softness()), area);
  }

  /** Blurred edge in px of the world. */
  #softness() {
    return SOFT_PX * 2 ** -this.#canvas.map.getZoom();
  }

  /** The level of the coarse tiles, null if the model has none below the view. */
  #level() {
    const view = Math.min(0, this.#canvas.map.getZoom());
    const coarser = this.#zoom.pictures.filter((z) => z < view && z >= view - COARSE);
    return coarser.length ? Math.min(...coarser) : null;
  }

  /**
   * @param {HTMLCanvasElement} picture
   * @param {Rect} area
   */
  #overlay(picture, { x, y, w, h }) {
    const bounds = L.latLngBounds(toLatLng(x, y), toLatLng(x + w, y + h));
    const overlay = L.imageOverlay(picture.toDataURL(), bounds, { pane: "answer", className: "answer" });
    overlay.addTo(this.#canvas.map);
    this.#shown.add(overlay);
    setTimeout(() => this.#remove(overlay), LONGEST_MS);
  }

  /** @param {L.ImageOverlay} overlay */
  #remove(overlay) {
    overlay.remove();
    this.#shown.delete(overlay);
  }

  #settled() {
    if (this.#canvas.element.getAttribute("aria-busy") === "false") this.clear();
  }
}

/**
 * Cut `area` out of a picture, with soft edges.
 * @param {HTMLCanvasElement} picture
 * @param {Rect} area px of the world
 * @param {{x: number, y: number, scale: number}} origin of the picture, and its pixels per px
 * @param {number} soft px of the world
 */
function cropped(picture, { x, y, w, h }, origin, soft) {
  const part = document.createElement("canvas");
  const { scale } = origin;
  part.width = Math.max(1, Math.round(w * scale));
  part.height = Math.max(1, Math.round(h * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (part.getContext("2d"));
  context.drawImage(picture, (origin.x - x) * scale, (origin.y - y) * scale);
  context.globalCompositeOperation = "destination-in";
  const edge = Math.min(soft * scale, part.width / 2, part.height / 2);
  for (const [size, vertical] of /** @type {[number, boolean][]} */ ([[part.width, false], [part.height, true]])) {
    const fade = context.createLinearGradient(0, 0, vertical ? 0 : size, vertical ? size : 0);
    fade.addColorStop(0, "transparent");
    fade.addColorStop(edge / size, "black");
    fade.addColorStop(1 - edge / size, "black");
    fade.addColorStop(1, "transparent");
    context.fillStyle = fade;
    context.fillRect(0, 0, part.width, part.height);
  }
  return part;
}

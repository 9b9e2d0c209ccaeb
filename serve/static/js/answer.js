/** Show a coarse picture of the painted area at once, above the old tiles, until the sharp ones are there. */

import { toLatLng } from "./canvas.js";
import { drawArea } from "./pictures.js";
import { TILE_PX } from "./tiles.js";

const COARSE = 3; // levels below the view, at most
const COST = 1.5; // a tile costs so much more with every coarser level: the widest layers compute its halo
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
    const z = this.#level(area);
    if (z === null) return;
    const picture = await drawArea(world, area, z);
    softened(picture, this.#softness() * 2 ** z);
    this.#overlay(picture, area);
  }

  /** Blurred edge in px of the world. */
  #softness() {
    return SOFT_PX * 2 ** -this.#canvas.map.getZoom();
  }

  /**
   * Choose the coarser level whose tiles of `area` are drawn first: few tiles of a coarse level, which cost more each.
   * @param {Rect} area
   * @returns {number | null} null if the model has no level below the view
   */
  #level({ x, y, w, h }) {
    const view = Math.min(0, this.#canvas.map.getZoom());
    const coarser = this.#zoom.pictures.filter((z) => z < view && z >= view - COARSE);
    /** @param {number} z */
    const cost = (z) => {
      const side = TILE_PX * 2 ** -z;
      const columns = Math.floor((x + w) / side) - Math.floor(x / side) + 1;
      const rows = Math.floor((y + h) / side) - Math.floor(y / side) + 1;
      return columns * rows * COST ** -z;
    };
    return coarser.length ? coarser.reduce((best, z) => (cost(z) < cost(best) ? z : best)) : null;
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
 * Fade the edges of a picture.
 * @param {HTMLCanvasElement} picture
 * @param {number} soft pixels
 */
function softened(picture, soft) {
  const { width, height } = picture;
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  context.globalCompositeOperation = "destination-in";
  const edge = Math.min(soft, width / 2, height / 2);
  for (const vertical of [false, true]) {
    const size = vertical ? height : width;
    const fade = context.createLinearGradient(0, 0, vertical ? 0 : size, vertical ? size : 0);
    fade.addColorStop(0, "transparent");
    fade.addColorStop(edge / size, "black");
    fade.addColorStop(1 - edge / size, "black");
    fade.addColorStop(1, "transparent");
    context.fillStyle = fade;
    context.fillRect(0, 0, width, height);
  }
}

/**
 * First pictures: one coarse picture of what is visible. After a move it lies under the tiles, and after a change above
 * them, until the sharp tiles are there. A stroke has one while it is painted.
 */

import { fetchView } from "./api.js";
import { toLatLng } from "./canvas.js";
import { changedArea, common, grown } from "./changes.js";
import { LIMIT_PX } from "./link.js";

const MARGIN = 0.25; // of the view on each side of a picture under the tiles, so that small moves need no other
const SOFT_PX = 24; // blurred edge of a change, on the screen
const MOST_PIXELS = 2 ** 21; // as the server
const WHOLE = { x: -LIMIT_PX, y: -LIMIT_PX, w: 2 * LIMIT_PX, h: 2 * LIMIT_PX };
const LONGEST_MS = 20_000; // removes a picture whose sharp tiles do not arrive

/** @typedef {import("./api.js").Rect} Rect */
/** @typedef {{id: string, revision: string, world?: import("./api.js").World}} Shown */
/** @typedef {{world: Shown, draft: import("./api.js").Draft, area: Rect}} Painted */

export class FirstPictures {
  #canvas;
  #info;
  /** @type {Shown | null} */
  #world = null;
  /** @type {{key: string, rect: Rect, stop: AbortController} | null} */
  #ground = null;
  /** @type {L.ImageOverlay | null} */
  #under = null;
  /** @type {Set<L.ImageOverlay>} */
  #changes = new Set();
  /** @type {L.ImageOverlay | null} */
  #draft = null;
  /** @type {Painted | null} the newest state of a stroke */
  #next = null;
  /** @type {AbortController | null} of the stroke whose picture is being rendered */
  #drawing = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {import("./api.js").Info} info
   */
  constructor(canvas, info) {
    this.#canvas = canvas;
    this.#info = info;
    const { map } = canvas;
    map.createPane("ground").style.zIndex = "150"; // below tiles
    map.createPane("answer").style.zIndex = "250"; // above tiles, below pins
    canvas.first = (world) => this.#show(world);
    map.on("move zoomend", () => this.#look());
    map.on("zoomstart", () => this.#clear());
    // Not the event "idle": the queue can be empty for a moment between two revisions.
    const settled = () => canvas.element.getAttribute("aria-busy") === "false" && this.#clear();
    new MutationObserver(settled).observe(canvas.element, { attributeFilter: ["aria-busy"] });
  }

  /**
   * @param {Shown} world
   * @returns {Promise<unknown> | null} null: nothing to wait for
   */
  #show(world) {
    const before = this.#world;
    this.#world = world;
    if (before?.id !== world.id) {
      this.#under?.remove();
      this.#look();
      return null;
    }
    const view = this.#view();
    const changed = changedArea(before.world, world.world, this.#info.cell_px ?? 0);
    const area = changed ? common(changed, view) : view;
    if (!area) return null;
    return this.#above(world, area).then((overlay) => {
      this.endDraft();
      if (!overlay) return;
      this.#changes.add(overlay);
      setTimeout(() => this.#remove(overlay), LONGEST_MS);
    });
  }

  /** All that is visible, also under panels, px of the world. */
  #view() {
    return this.#canvas.rectOf(L.point(0, 0), this.#canvas.map.getSize());
  }

  /** Ask for the picture under the tiles if the present one does not cover the view. */
  #look() {
    const z = this.#level();
    if (!this.#world || z === null) return;
    const { id, revision } = this.#world;
    const key = `${id}/${revision}/${z}`;
    const view = this.#view();
    if (this.#ground?.key === key && contains(this.#ground.rect, view)) return;
    this.#ground?.stop.abort();
    // A new place needs its picture soonest. Pictures less than two levels below the view are too dear for a margin.
    const isPan = this.#ground?.key === key && z <= this.#canvas.map.getZoom() - 2;
    const rect = isPan ? grown(view, Math.round(MARGIN * Math.min(view.w, view.h))) : view;
    const asked = (this.#ground = { key, rect, stop: new AbortController() });
    const order = { world: this.#world, area: rect, pane: /** @type {const} */ ("ground"), stop: asked.stop };
    const shown = this.#picture(order).then((overlay) => {
      if (overlay) this.#under?.remove();
      if (overlay) this.#under = overlay;
      else if (this.#ground === asked) this.#ground = null; // the next move asks again
    });
    this.#canvas.pause(shown);
  }

  /**
   * Choose the level of a first picture: `coarser` levels below the view, which costs a fraction of the tiles.
   * @returns {number | null} null if the model renders no level that is not finer than the view
   */
  #level() {
    const { pictures, coarser = 2 } = this.#info.zoom;
    const view = Math.min(0, this.#canvas.map.getZoom());
    const found = Math.min(...pictures.filter((z) => z >= view - coarser));
    return found <= view ? found : null;
  }

  /**
   * Show a stroke while it is painted. Only its newest state is rendered.
   * @param {Painted} painted
   */
  async draft(painted) {
    this.#next = painted;
    if (this.#drawing) return;
    const stop = (this.#drawing = new AbortController());
    while (this.#next && !stop.signal.aborted) {
      const { world, draft, area } = this.#next;
      this.#next = null;
      const seen = common(area, this.#view());
      const overlay = seen && (await this.#above(world, seen, { draft, stop }));
      if (!overlay) continue;
      this.#draft?.remove();
      this.#draft = overlay;
    }
    if (this.#drawing === stop) this.#drawing = null;
  }

  /** Stop rendering the states of a stroke. Its last picture stays until the stroke is part of the world. */
  stopDraft() {
    this.#next = null;
    this.#drawing?.abort();
    this.#drawing = null;
  }

  /** Remove the picture of a stroke. */
  endDraft() {
    if (this.#drawing) return; // the next stroke has begun
    this.#draft?.remove();
    this.#draft = null;
  }

  /**
   * Show `area` above the tiles, with soft edges.
   * @param {Shown} world
   * @param {Rect} area
   * @param {{draft?: import("./api.js").Draft, stop?: AbortController}} [options]
   */
  #above(world, area, options) {
    const soft = Math.round(SOFT_PX * 2 ** -this.#canvas.map.getZoom());
    return this.#picture({ world, area: grown(area, soft), pane: "answer", ...options });
  }

  /**
   * @param {object} order
   * @param {Shown} order.world
   * @param {Rect} order.area px of the world
   * @param {"ground" | "answer"} order.pane
   * @param {import("./api.js").Draft} [order.draft]
   * @param {AbortController} [order.stop]
   * @returns {Promise<L.ImageOverlay | null>} null if there is no such picture
   */
  async #picture({ world, area, pane, draft, stop = new AbortController() }) {
    const z = this.#level();
    const inside = common(area, WHOLE);
    if (z === null || !inside) return null;
    const { x, y, w, h } = inside;
    const [left, top] = [Math.floor(x * 2 ** z), Math.floor(y * 2 ** z)];
    const [right, bottom] = [Math.ceil((x + w) * 2 ** z), Math.ceil((y + h) * 2 ** z)];
    const rect = { x: left, y: top, w: right - left, h: bottom - top };
    if (rect.w * rect.h > MOST_PIXELS) return null;
    try {
      const { signal } = stop;
      const image = await imageOf(await fetchView({ world, z, rect, ...(draft && { draft }) }, { signal }));
      if (signal.aborted) {
        URL.revokeObjectURL(image.src);
        return null;
      }
      const corner = toLatLng(right * 2 ** -z, bottom * 2 ** -z);
      const bounds = L.latLngBounds(toLatLng(left * 2 ** -z, top * 2 ** -z), corner);
      const overlay = L.imageOverlay(/** @type {any} */ (image), bounds, { pane, className: pane });
      overlay.on("remove", () => URL.revokeObjectURL(image.src));
      return overlay.addTo(this.#canvas.map);
    } catch {
      return null; // the tiles tell what is wrong
    }
  }

  #clear() {
    for (const overlay of this.#changes) this.#remove(overlay);
  }

  /** @param {L.ImageOverlay} overlay */
  #remove(overlay) {
    overlay.remove();
    this.#changes.delete(overlay);
  }
}

/** @param {Blob} blob */
async function imageOf(blob) {
  const image = document.createElement("img");
  image.alt = "";
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(image.src); // the image is decoded; the blob would stay as long as the page
  }
  return image;
}

/**
 * @param {Rect} outer
 * @param {Rect} inner
 */
function contains(outer, inner) {
  const across = outer.x <= inner.x && inner.x + inner.w <= outer.x + outer.w;
  return across && outer.y <= inner.y && inner.y + inner.h <= outer.y + outer.h;
}

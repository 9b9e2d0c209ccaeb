/** The canvas: a Leaflet map in px of the world, x to the right and y down. */

import { LIMIT_PX } from "./link.js";
import { TILE_PX, TileLayer, TileQueue } from "./tiles.js";

const CLOSER = 2; // zoom levels beyond one px for one px
const FAR_PX = 2 ** 20; // browsers place elements in single precision: start anew before that shows
const BOUNDS = L.latLngBounds([-LIMIT_PX, -LIMIT_PX], [LIMIT_PX, LIMIT_PX]);

/** @typedef {{x: number, y: number}} Point */
/** @typedef {import("./api.js").Rect} Rect */

/** @type {(x: number, y: number) => L.LatLng} */
export const toLatLng = (x, y) => L.latLng(-y, x);
/** @type {(place: L.LatLng) => Point} */
export const toPoint = (place) => ({ x: place.lng, y: 0 - place.lat });

/**
 * Group the zoom levels by the size of their tiles: one layer each.
 * @param {import("./api.js").Zoom} zoom
 * @returns {{px: number, minZoom: number, maxZoom: number}[]}
 */
function sharpZooms({ min, max, tile_px: sizes = {} }) {
  /** @type {{px: number, minZoom: number, maxZoom: number}[]} */
  const groups = [];
  for (let z = max; z >= min; z -= 1) {
    const px = sizes[z] ?? TILE_PX;
    const last = groups.at(-1);
    if (last?.px === px) last.minZoom = z;
    else groups.push({ px, minZoom: z, maxZoom: z === max ? max + CLOSER : z });
  }
  return groups;
}

/** Fires "move" when the view has changed, "busy" and "idle" around the loading of tiles. */
export class Canvas extends EventTarget {
  #queue = new TileQueue();
  #layers;
  #over;
  /** @type {TileLayer | null} */
  #model = null;

  /**
   * @param {HTMLElement} element
   * @param {import("./api.js").Info} info
   * @param {(error: Error) => void} report called when a tile fails
   */
  constructor(element, info, report) {
    super();
    const { min, max } = info.zoom;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.element = element;
    this.map = L.map(element, {
      crs: L.CRS.Simple,
      minZoom: min,
      maxZoom: max + CLOSER,
      maxBounds: BOUNDS,
      zoomControl: false,
      attributionControl: false,
      boxZoom: false, // Shift and drag draws a rectangle
      inertia: !still,
      zoomAnimation: !still,
      fadeAnimation: !still,
    });
    const shared = { report, bounds: BOUNDS, maxNativeZoom: max };
    this.#layers = sharpZooms(info.zoom).map(
      (zooms) => new TileLayer(this.#queue, { ...shared, ...zooms, zIndex: 1 }),
    );
    this.#over = () => new TileLayer(this.#queue, { ...shared, minZoom: min, px: TILE_PX, zIndex: 2 });
    this.#tellLoading();
    this.map.on("move", () => this.#look());
    this.map.on("moveend", () => this.#settle());
  }

  /**
   * Runs before the tiles of a new revision are requested; null: nothing to wait for.
   * @type {(world: {id: string, revision: string, world?: import("./api.js").World}) => Promise<unknown> | null}
   */
  first = () => null;
  /** @type {{id: string, revision: string} | null} */
  #wanted = null;
  /** Ends when the first picture of the shown revision is there. */
  answered = Promise.resolve();

  /** @param {{id: string, revision: string, world?: import("./api.js").World}} world `world`: its document */
  show(world) {
    const isNew = world.revision !== this.#wanted?.revision || world.id !== this.#wanted.id;
    this.#wanted = world;
    if (!isNew) return;
    const answer = this.first(world);
    this.answered = Promise.resolve(answer).then(() => undefined);
    if (!answer) {
      this.#show(world);
      return;
    }
    this.element.setAttribute("aria-busy", "true"); // until the tiles, which begin later
    void answer.finally(() => this.#wanted?.revision === world.revision && this.#show(world));
  }

  /** @param {{id: string, revision: string}} world */
  #show(world) {
    for (const layer of this.#layers) {
      layer.show(world);
      layer.addTo(this.map);
    }
  }

  /**
   * Ask for no tiles before `end`.
   * @param {Promise<unknown>} end
   */
  pause(end) {
    this.#queue.pause(end);
  }

  #tellLoading() {
    for (const [event, busy] of /** @type {const} */ ([["busy", "true"], ["idle", "false"]])) {
      this.#queue.addEventListener(event, () => {
        this.element.setAttribute("aria-busy", busy);
        this.dispatchEvent(new Event(event));
      });
    }
  }

  /**
   * Show the model's pixels over photographs.
   * @param {{id: string, revision: string}} world
   * @param {number} opacity 0 to 1; 0 removes them
   */
  compare(world, opacity) {
    if (!opacity) {
      this.#model?.remove();
      this.#model = null;
      return;
    }
    this.#model ??= this.#over();
    this.#model.setOpacity(opacity);
    this.#model.show({ ...world, model: true });
    this.#model.addTo(this.map);
  }

  /** Centre in whole px, and zoom. */
  get view() {
    const { x, y } = toPoint(this.map.getCenter());
    return { x: Math.round(x), y: Math.round(y) || 0, z: this.map.getZoom() };
  }

  /** @param {{x: number, y: number, z?: number}} place centre in px, and zoom */
  goTo({ x, y, z }) {
    const zoom = z ?? (this.map.getZoom() || 0);
    this.map.setView(toLatLng(x, y), zoom, { animate: false });
  }

  /**
   * Zoom to fit a rectangle beside an open panel.
   * @param {Rect} rect
   */
  fit({ x, y, w, h }) {
    const area = this.clearArea();
    const size = this.map.getSize();
    this.map.fitBounds(L.latLngBounds(toLatLng(x, y), toLatLng(x + w, y + h)), {
      paddingTopLeft: [area.left + 24, area.top + 24],
      paddingBottomRight: [size.x - area.right + 24, size.y - area.bottom + 24],
      maxZoom: 0,
      animate: false,
    });
  }

  /** The part of the view that no open panel covers, px of the screen. */
  clearArea() {
    const { x: width, y: height } = this.map.getSize();
    const area = { left: 0, top: 0, right: width, bottom: height };
    const panel = document.querySelector(".panel:not([hidden])")?.getBoundingClientRect();
    if (!panel) return area;
    return panel.width > width / 2 ? { ...area, bottom: panel.top } : { ...area, left: panel.right };
  }

  /** What is visible beside an open panel, whole px of the world. */
  get visible() {
    const { left, top, right, bottom } = this.clearArea();
    return this.rectOf(L.point(left, top), L.point(right, bottom));
  }

  /**
   * The px between two points of the screen, at least one each way.
   * @param {L.Point} a
   * @param {L.Point} b
   * @returns {Rect}
   */
  rectOf(a, b) {
    const [p, q] = [a, b].map((point) => toPoint(this.map.containerPointToLatLng(point)));
    const [x, y] = [Math.floor(Math.min(p.x, q.x)), Math.floor(Math.min(p.y, q.y))];
    const [right, bottom] = [Math.ceil(Math.max(p.x, q.x)), Math.ceil(Math.max(p.y, q.y))];
    return { x, y, w: Math.max(1, right - x), h: Math.max(1, bottom - y) };
  }

  /**
   * @param {number} clientX px of the window
   * @param {number} clientY
   * @returns {Point} px of the world
   */
  pointAt(clientX, clientY) {
    const box = this.element.getBoundingClientRect();
    return toPoint(this.map.containerPointToLatLng([clientX - box.left, clientY - box.top]));
  }

  #look() {
    this.#queue.focus = toPoint(this.map.getCenter());
  }

  #settle() {
    const { x, y } = L.DomUtil.getPosition(this.map.getPane("mapPane") ?? this.element);
    if (Math.max(Math.abs(x), Math.abs(y)) > FAR_PX) {
      /** @type {L.ZoomPanOptions & {reset: boolean}} */
      const anew = { animate: false, reset: true };
      this.map.setView(this.map.getCenter(), this.map.getZoom(), anew);
    }
    this.dispatchEvent(new Event("move"));
  }
}

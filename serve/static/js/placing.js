/** A photograph on the canvas before it is continued: it can be dragged, or moved with the arrow keys. */

import { toLatLng, toPoint } from "./canvas.js";

const STEP_PX = 16; // of an arrow key, on the screen
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Fires "move" when a person has moved it. */
export class PlacedPhotograph extends EventTarget {
  /** px of the world */
  place = { x: 0, y: 0, w: 0, h: 0 };
  #map;
  #overlay;
  /** @type {{id: number, from: {x: number, y: number}} | null} */
  #drag = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {string} url of the picture
   * @param {import("./api.js").Rect} place
   */
  constructor(canvas, url, place) {
    super();
    this.#map = canvas.map;
    this.#overlay = L.imageOverlay(url, L.latLngBounds([0, 0], [0, 0]), {
      interactive: true,
      className: "placing",
      zIndex: 5,
    });
    this.move(place);
    this.#overlay.addTo(this.#map);
    const image = /** @type {HTMLImageElement} */ (this.#overlay.getElement());
    image.tabIndex = 0;
    image.alt = "The photograph: drag it, or move it with the arrow keys";
    image.addEventListener("pointerdown", (event) => this.#press(event, image, canvas));
    image.addEventListener("pointermove", (event) => this.#follow(event, canvas));
    for (const end of ["pointerup", "pointercancel"]) image.addEventListener(end, () => this.#release());
    image.addEventListener("keydown", (event) => this.#step(event));
  }

  /** @param {Partial<import("./api.js").Rect>} place */
  move(place) {
    this.place = { ...this.place, ...place };
    const { x, y, w, h } = this.place;
    this.#overlay.setBounds(L.latLngBounds(toLatLng(x, y), toLatLng(x + w, y + h)));
  }

  remove() {
    this.#overlay.remove();
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLElement} image
   * @param {import("./canvas.js").Canvas} canvas
   */
  #press(event, image, canvas) {
    if (event.button !== 0) return;
    event.stopPropagation();
    event.preventDefault();
    this.#map.dragging.disable();
    image.setPointerCapture(event.pointerId);
    image.focus({ preventScroll: true });
    const point = canvas.pointAt(event.clientX, event.clientY);
    this.#drag = { id: event.pointerId, from: { x: point.x - this.place.x, y: point.y - this.place.y } };
  }

  /**
   * @param {PointerEvent} event
   * @param {import("./canvas.js").Canvas} canvas
   */
  #follow(event, canvas) {
    if (this.#drag?.id !== event.pointerId) return;
    const point = canvas.pointAt(event.clientX, event.clientY);
    const { from } = this.#drag;
    this.#settle({ x: point.x - from.x, y: point.y - from.y });
  }

  #release() {
    this.#drag = null;
    this.#map.dragging.enable();
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    event.stopPropagation();
    const step = toPoint(this.#map.unproject([STEP_PX, STEP_PX])).x;
    this.#settle({ x: this.place.x + arrow[0] * step, y: this.place.y + arrow[1] * step });
  }

  /** @param {{x: number, y: number}} place */
  #settle({ x, y }) {
    this.move({ x: Math.round(x), y: Math.round(y) });
    this.dispatchEvent(new Event("move"));
  }
}

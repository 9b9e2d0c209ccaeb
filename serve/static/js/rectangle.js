/** Rectangles of the world, drawn or typed, for resampling and export. */

import { toLatLng } from "./canvas.js";
import { parsePx } from "./link.js";

/** @typedef {import("./api.js").Rect} Rect */
const SIDES = /** @type {const} */ (["x", "y", "w", "h"]);
const LEAST_DRAG_PX = 4;

/** Fires "change" when the rectangle changes, "drawing" when drawing starts or ends. */
export class RectanglePicker extends EventTarget {
  /** @type {RectanglePicker | null} the active one, at most one */
  static #active = null;
  /** @type {Rect | null} */
  value = null;
  #canvas;
  #shape;
  #withShift;
  /** @type {{id: number, from: L.Point} | null} */
  #drag = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {{className?: string, withShift?: boolean}} [options] `withShift`: whether Shift and drag draws it
   */
  constructor(canvas, { className = "", withShift = true } = {}) {
    super();
    this.#canvas = canvas;
    this.#withShift = withShift;
    const options = { className: `rectangle ${className}`.trim(), interactive: false };
    this.#shape = L.rectangle(L.latLngBounds([0, 0], [0, 0]), options);
    const { element } = canvas;
    element.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#release(event));
    element.addEventListener("pointercancel", () => this.#abandon());
  }

  /**
   * Stop drawing.
   * @returns {boolean} whether drawing was active
   */
  static stop() {
    const active = RectanglePicker.#active;
    active?.draw(false);
    return active !== null;
  }

  get drawing() {
    return RectanglePicker.#active === this;
  }

  /** @param {Rect | null} rect */
  set(rect) {
    this.value = rect;
    this.#paint(rect);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {boolean} visible */
  show(visible) {
    if (visible) this.#shape.addTo(this.#canvas.map);
    else this.#shape.remove();
    if (!visible) this.draw(false);
  }

  /** @param {boolean} on whether the next drag on the canvas draws */
  draw(on) {
    if (this.drawing === on) return;
    if (on) RectanglePicker.stop();
    RectanglePicker.#active = on ? this : null;
    this.#canvas.element.classList.toggle("drawing", on);
    this.dispatchEvent(new Event("drawing"));
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const shift = this.#withShift && event.shiftKey && !RectanglePicker.#active;
    const active = this.drawing || (shift && this.#canvas.map.hasLayer(this.#shape));
    if (!active || event.button !== 0) return;
    if (this.#drag) {
      this.#abandon(); // a second finger starts a pinch zoom
      return;
    }
    this.#canvas.map.dragging.disable();
    this.#canvas.element.setPointerCapture(event.pointerId);
    this.#drag = { id: event.pointerId, from: this.#pointOf(event) };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (this.#drag?.id === event.pointerId) this.#paint(this.#canvas.rectOf(this.#drag.from, this.#pointOf(event)));
  }

  /** @param {PointerEvent} event */
  #release(event) {
    if (this.#drag?.id !== event.pointerId) return;
    const { from } = this.#drag;
    const to = this.#pointOf(event);
    this.#abandon();
    if (from.distanceTo(to) < LEAST_DRAG_PX) return;
    this.draw(false);
    this.set(this.#canvas.rectOf(from, to));
  }

  #abandon() {
    this.#drag = null;
    this.#canvas.map.dragging.enable();
    this.#paint(this.value);
  }

  /** @param {Rect | null} rect */
  #paint(rect) {
    const { x, y, w, h } = rect ?? { x: 0, y: 0, w: 0, h: 0 };
    this.#shape.setBounds(L.latLngBounds(toLatLng(x, y), toLatLng(x + w, y + h)));
  }

  /** @param {PointerEvent} event */
  #pointOf(event) {
    return this.#canvas.map.mouseEventToContainerPoint(event);
  }
}

/**
 * Fill `place` with fields for the rectangle: draw, take the view, or type.
 * @param {HTMLElement} place
 * @param {RectanglePicker} picker
 * @param {import("./canvas.js").Canvas} canvas
 */
export function addRegionFields(place, picker, canvas) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("region-fields"));
  place.append(template.content.cloneNode(true));
  const inputs = SIDES.map((side) => /** @type {HTMLInputElement} */ (place.querySelector(`[name=${side}]`)));
  const draw = /** @type {HTMLButtonElement} */ (place.querySelector("[data-action=draw]"));
  const view = /** @type {HTMLButtonElement} */ (place.querySelector("[data-action=view]"));
  draw.addEventListener("click", () => picker.draw(!picker.drawing));
  view.addEventListener("click", () => picker.set(canvas.visible));
  for (const input of inputs) input.addEventListener("change", () => picker.set(typed(inputs)));
  picker.addEventListener("drawing", () => draw.setAttribute("aria-pressed", String(picker.drawing)));
  picker.addEventListener("change", () => {
    const { value } = picker;
    if (value) SIDES.forEach((side, i) => (inputs[i].value = String(value[side])));
  });
}

/**
 * @param {HTMLInputElement[]} inputs
 * @returns {Rect | null} null while a number is missing or out of range
 */
function typed(inputs) {
  const [x, y, w, h] = inputs.map((input) => parsePx(input.value));
  if (x === null || y === null || w === null || h === null || w < 1 || h < 1) return null;
  return { x, y, w, h };
}

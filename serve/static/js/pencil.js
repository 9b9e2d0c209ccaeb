/** Draw a line on the canvas with the pointer: a ring shows its width, and a second finger zooms instead. */

import { toLatLng } from "./canvas.js";

/** @typedef {import("./layout.js").Point} Point */

export class Pencil {
  #canvas;
  #options;
  #ring = document.createElement("div");
  #active = false;
  /** @type {{id: number, points: Point[], line: L.Polyline} | null} */
  #stroke = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {object} options
   * @param {() => string} options.className of the line while it is drawn
   * @param {() => number} options.width px of the screen
   * @param {() => boolean} options.ready whether a line may begin
   * @param {(points: Point[]) => void} [options.moved] gets the line so far
   * @param {() => void} [options.left] a line that has begun is not drawn
   * @param {(points: Point[]) => Promise<unknown>} options.done gets the line in px of the world; the line is shown until then
   */
  constructor(canvas, options) {
    this.#canvas = canvas;
    this.#options = options;
    this.#ring.className = "brush-ring";
    this.#ring.hidden = true;
    const { element } = canvas;
    element.append(this.#ring);
    element.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#release(event));
    element.addEventListener("pointercancel", () => this.#abandon());
    element.addEventListener("pointerleave", () => (this.#ring.hidden = true));
  }

  /** Whether the next drag on the canvas draws. */
  get active() {
    return this.#active;
  }

  set active(active) {
    this.#active = active;
    this.#canvas.element.classList.toggle("painting", active);
    this.resize();
    if (active) return;
    this.#ring.hidden = true;
    this.#abandon();
  }

  /** Follow a change of the width. */
  resize() {
    this.#ring.style.width = this.#ring.style.height = `${this.#options.width()}px`;
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const onPin = event.target instanceof Element && event.target.closest(".pin");
    if (!this.#active || event.button !== 0 || event.shiftKey || onPin) return;
    if (this.#stroke) {
      this.#abandon(); // a second finger starts a pinch zoom
      return;
    }
    if (!this.#options.ready()) return;
    this.#canvas.map.dragging.disable();
    this.#canvas.element.setPointerCapture(event.pointerId);
    const points = [this.#canvas.pointAt(event.clientX, event.clientY)];
    this.#stroke = { id: event.pointerId, points, line: this.#line(points) };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#active) return;
    const box = this.#canvas.element.getBoundingClientRect();
    this.#ring.hidden = event.pointerType === "touch";
    this.#ring.style.translate = `${event.clientX - box.left}px ${event.clientY - box.top}px`;
    if (this.#stroke?.id !== event.pointerId) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of moves.length ? moves : [event]) {
      this.#stroke.points.push(this.#canvas.pointAt(clientX, clientY));
    }
    this.#stroke.line.setLatLngs(this.#stroke.points.map(({ x, y }) => toLatLng(x, y)));
    this.#options.moved?.(this.#stroke.points);
  }

  /** @param {PointerEvent} event */
  #release(event) {
    if (this.#stroke?.id !== event.pointerId) return;
    const { points, line } = this.#stroke;
    this.#stroke = null;
    this.#canvas.map.dragging.enable();
    void this.#options.done(points).finally(() => line.remove());
  }

  #abandon() {
    if (!this.#stroke) return;
    this.#stroke.line.remove();
    this.#stroke = null;
    this.#canvas.map.dragging.enable();
    this.#options.left?.();
  }

  /** @param {Point[]} points */
  #line(points) {
    const line = L.polyline(points.map(({ x, y }) => toLatLng(x, y)), {
      className: `brush-line ${this.#options.className()}`,
      weight: this.#options.width(),
      interactive: false,
      smoothFactor: 0,
      noClip: true,
    });
    return line.addTo(this.#canvas.map);
  }
}

/**
 * Return the rectangle around points, `margin` px wider on each side.
 * @param {Point[]} points
 * @param {number} margin
 */
export function areaOf(points, margin) {
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [x, y] = [Math.floor(Math.min(...xs) - margin), Math.floor(Math.min(...ys) - margin)];
  return { x, y, w: Math.ceil(Math.max(...xs) + margin) - x, h: Math.ceil(Math.max(...ys) + margin) - y };
}

/** The brush: paint a style on the canvas with the pointer, or erase strokes. */

import { Answer } from "./answer.js";
import { toLatLng } from "./canvas.js";
import { attempt, element, listen } from "./page.js";
import { MOST_RADIUS, simplified, withStroke } from "./strokes.js";

const STEP = 1.25; // of the size, for the keys [ and ]
const TOLERANCE_PX = 1; // of the simplified line, on the screen
const HALO = 0.6; // of the radius around the stroke, which the coarse answer shows too

/** @typedef {import("./strokes.js").StyleChoice} StyleChoice */
/** @typedef {import("./layout.js").Point} Point */
/** @typedef {"pin" | "paint" | "erase"} Mode */
/** @typedef {{points: Point[], radius: number, hardness: number, style: StyleChoice | null}} Painted */

/** Fires "mode" when the tool changes and "style" when the style changes. */
export class Brush extends EventTarget {
  #session;
  #canvas;
  #answer;
  #ring = document.createElement("div");
  #size = element("brush-size", HTMLInputElement);
  #hardness = element("brush-hardness", HTMLInputElement);
  #open = false;
  /** @type {Mode} */
  mode = "pin";
  /** @type {StyleChoice | null} */
  style = null;
  /** @type {{id: number, points: Point[], line: L.Polyline} | null} */
  #stroke = null;

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./canvas.js").Canvas} canvas
   * @param {import("./api.js").Info} info
   */
  constructor(session, canvas, info) {
    super();
    this.#session = session;
    this.#canvas = canvas;
    this.#answer = new Answer(canvas, info.zoom);
    this.#ring.className = "brush-ring";
    this.#ring.hidden = true;
    canvas.element.append(this.#ring);
    this.#listenToPointer(canvas.element);
    for (const mode of /** @type {Mode[]} */ (["pin", "paint", "erase"])) {
      listen(element(`tool-${mode}`), "change", () => this.#choose(mode));
    }
    for (const slider of [this.#size, this.#hardness]) slider.addEventListener("input", () => this.#say());
    listen(canvas.element, "keydown", (event) => this.#key(event));
    this.#choose("pin");
  }

  /** Whether the next drag on the canvas paints. */
  get active() {
    return this.#open && this.mode !== "pin";
  }

  /** @param {boolean} open whether the panel of styles is open */
  visible(open) {
    this.#open = open;
    this.#show();
  }

  /** @param {StyleChoice} style */
  pick(style) {
    this.style = style;
    if (this.mode === "erase") {
      element("tool-paint", HTMLInputElement).checked = true;
      this.#choose("paint");
    }
    this.dispatchEvent(new Event("style"));
  }

  /** @param {Mode} mode */
  #choose(mode) {
    this.mode = mode;
    element("brush-settings").hidden = mode === "pin";
    element("pin-hint").hidden = mode !== "pin";
    element("brush-hint").hidden = mode === "pin";
    this.#say();
    this.#show();
    this.dispatchEvent(new Event("mode"));
  }

  #say() {
    element("brush-size-px").textContent = `${this.#size.value} px`;
    element("brush-hardness-share").textContent = `${this.#hardness.value} %`;
    this.#ring.style.width = this.#ring.style.height = `${this.#size.value}px`;
  }

  #show() {
    this.#canvas.element.classList.toggle("painting", this.active);
    if (!this.active) this.#ring.hidden = true;
  }

  /** @param {HTMLElement} surface */
  #listenToPointer(surface) {
    surface.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    surface.addEventListener("pointermove", (event) => this.#move(event));
    surface.addEventListener("pointerup", (event) => this.#release(event));
    surface.addEventListener("pointercancel", () => this.#abandon());
    surface.addEventListener("pointerleave", () => (this.#ring.hidden = true));
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const onPin = event.target instanceof Element && event.target.closest(".pin");
    if (!this.active || event.button !== 0 || event.shiftKey || onPin) return;
    if (this.#stroke) {
      this.#abandon(); // a second finger starts a pinch zoom
      return;
    }
    if (this.mode === "paint" && !this.style) {
      void attempt(() => Promise.reject(new Error("Choose a style first: press one of the pictures.")));
      return;
    }
    this.#canvas.map.dragging.disable();
    this.#canvas.element.setPointerCapture(event.pointerId);
    const points = [this.#canvas.pointAt(event.clientX, event.clientY)];
    this.#stroke = { id: event.pointerId, points, line: this.#line(points) };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.active) return;
    const box = this.#canvas.element.getBoundingClientRect();
    this.#ring.hidden = event.pointerType === "touch";
    this.#ring.style.translate = `${event.clientX - box.left}px ${event.clientY - box.top}px`;
    if (this.#stroke?.id !== event.pointerId) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of moves.length ? moves : [event]) {
      this.#stroke.points.push(this.#canvas.pointAt(clientX, clientY));
    }
    this.#stroke.line.setLatLngs(this.#stroke.points.map(({ x, y }) => toLatLng(x, y)));
  }

  /** @param {PointerEvent} event */
  #release(event) {
    if (this.#stroke?.id !== event.pointerId) return;
    const { points, line } = this.#stroke;
    this.#stroke = null;
    this.#canvas.map.dragging.enable();
    void attempt(() => this.#paint(points).finally(() => line.remove()));
  }

  #abandon() {
    if (!this.#stroke) return;
    this.#stroke.line.remove();
    this.#stroke = null;
    this.#canvas.map.dragging.enable();
  }

  /**
   * Add the stroke to the world. Its coarse picture comes before all other tiles.
   * @param {Point[]} points
   */
  async #paint(points) {
    const px = 2 ** -this.#canvas.map.getZoom(); // px of the world per px of the screen
    const radius = Math.min(MOST_RADIUS, Math.max(1, Math.round((Number(this.#size.value) * px) / 2)));
    const style = this.mode === "erase" ? null : this.style;
    const line = simplified(points, TOLERANCE_PX * px);
    const painted = { points: line, radius, hardness: Number(this.#hardness.value) / 100, style };
    const area = areaOf(line, (1 + HALO) * radius);
    /** @type {Promise<void>} */
    const answered = new Promise((resolve) => {
      this.#canvas.first = (world) => this.#answer.show(world, area).finally(resolve);
    });
    const before = this.#session.current;
    const after = await this.#session.edit((world) => withStroke(world, painted));
    if (after !== before) await answered;
    else this.#canvas.first = null; // nothing to erase
  }

  /** @param {Point[]} points */
  #line(points) {
    const line = L.polyline(points.map(({ x, y }) => toLatLng(x, y)), {
      className: `brush-line ${this.mode}`,
      weight: Number(this.#size.value),
      interactive: false,
      smoothFactor: 0,
      noClip: true,
    });
    return line.addTo(this.#canvas.map);
  }

  /**
   * Paint in the middle of the view with Enter; change the size with [ and ].
   * @param {KeyboardEvent} event
   */
  #key(event) {
    if (!this.active || event.target !== this.#canvas.element) return undefined;
    if (event.key === "[" || event.key === "]") {
      const size = Number(this.#size.value) * (event.key === "]" ? STEP : 1 / STEP);
      this.#size.value = String(Math.round(size));
      this.#say();
      return undefined;
    }
    if (event.key !== "Enter") return undefined;
    if (this.mode === "paint" && !this.style) throw new Error("Choose a style first: press one of the pictures.");
    const { x, y, w, h } = this.#canvas.visible;
    return this.#paint([{ x: x + w / 2, y: y + h / 2 }]);
  }
}

/**
 * Return the rectangle around points, `margin` px wider on each side.
 * @param {Point[]} points
 * @param {number} margin
 */
function areaOf(points, margin) {
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [x, y] = [Math.floor(Math.min(...xs) - margin), Math.floor(Math.min(...ys) - margin)];
  return { x, y, w: Math.ceil(Math.max(...xs) + margin) - x, h: Math.ceil(Math.max(...ys) + margin) - y };
}

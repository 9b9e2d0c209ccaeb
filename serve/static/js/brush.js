/** The brush: paint a style on the canvas with the pointer, or erase strokes. */

import { strokeBox } from "./changes.js";
import { FirstPictures } from "./firstpictures.js";
import { attempt, element, listen, toast } from "./page.js";
import { Pencil } from "./pencil.js";
import { MOST_RADIUS, simplified, withStroke } from "./strokes.js";

const STEP = 1.25; // of the size, for the keys [ and ]
export const TOLERANCE_PX = 1; // of the simplified line, on the screen

/** @typedef {import("./strokes.js").StyleChoice} StyleChoice */
/** @typedef {import("./layout.js").Point} Point */
/** @typedef {"pin" | "paint" | "erase"} Mode */

/** Fires "mode" when the tool changes and "style" when the style changes. */
export class Brush extends EventTarget {
  #session;
  #canvas;
  #pictures;
  #pencil;
  #size = element("brush-size", HTMLInputElement);
  #hardness = element("brush-hardness", HTMLInputElement);
  #open = false;
  /** @type {Mode} */
  mode = "pin";
  /** @type {StyleChoice | null} */
  style = null;
  /**
   * @param {import("./session.js").Session} session
   * @param {import("./canvas.js").Canvas} canvas
   * @param {import("./api.js").Info} info
   */
  constructor(session, canvas, info) {
    super();
    this.#session = session;
    this.#canvas = canvas;
    this.#pictures = new FirstPictures(canvas, info);
    this.#pencil = new Pencil(canvas, {
      className: () => this.mode,
      width: () => Number(this.#size.value),
      ready: () => this.#ready(),
      moved: (points) => this.#follow(points),
      left: () => {
        this.#pictures.stopDraft();
        this.#pictures.endDraft();
      },
      done: (points) => attempt(() => this.#paint(points)),
    });
    for (const mode of /** @type {Mode[]} */ (["pin", "paint", "erase"])) {
      listen(element(`tool-${mode}`), "change", () => this.#choose(mode));
    }
    for (const slider of [this.#size, this.#hardness]) slider.addEventListener("input", () => this.#say());
    listen(canvas.element, "keydown", (event) => this.#key(event));
    this.#choose("pin");
  }

  /** @param {boolean} open whether the panel of styles is open */
  visible(open) {
    this.#open = open;
    this.#pencil.active = open && this.mode !== "pin";
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
    this.visible(this.#open);
    this.dispatchEvent(new Event("mode"));
  }

  #say() {
    element("brush-size-px").textContent = `${this.#size.value} px`;
    element("brush-hardness-share").textContent = `${this.#hardness.value} %`;
    this.#pencil.resize();
  }

  #ready() {
    if (this.mode === "erase" || this.style) return true;
    toast("Choose a style first: press one of the pictures.");
    return false;
  }

  /**
   * @param {Point[]} points
   * @returns {import("./strokes.js").Painted}
   */
  #painted(points) {
    const { radius, line } = measured(this.#canvas, points, Number(this.#size.value));
    const style = this.mode === "erase" ? null : this.style;
    return { points: line, radius, hardness: Number(this.#hardness.value) / 100, style };
  }

  /**
   * Show the stroke so far. It is not part of the world before it ends.
   * @param {Point[]} points
   */
  #follow(points) {
    const { saved, isPending } = this.#session;
    if (isPending) return; // an earlier stroke is on its way
    const { world } = saved;
    const { layout } = withStroke(world, this.#painted(points));
    const stroke = layout?.strokes?.at(-1);
    if (!layout || !stroke || layout === world.layout) return; // nothing to erase
    const { styles, transition } = layout;
    const draft = { styles, transition, strokes: [stroke] };
    void this.#pictures.draft({ world: saved, draft, area: strokeBox(stroke) });
  }

  /**
   * Add the stroke to the world. Its first picture comes before all tiles.
   * @param {Point[]} points
   */
  async #paint(points) {
    this.#pictures.stopDraft();
    try {
      const painted = this.#painted(points);
      await this.#session.edit((world) => withStroke(world, painted));
      await this.#canvas.answered;
    } finally {
      this.#pictures.endDraft();
    }
  }

  /**
   * Paint in the middle of the view with Enter; change the size with [ and ].
   * @param {KeyboardEvent} event
   */
  #key(event) {
    if (!this.#pencil.active || event.target !== this.#canvas.element) return undefined;
    if (event.key === "[" || event.key === "]") {
      const size = Number(this.#size.value) * (event.key === "]" ? STEP : 1 / STEP);
      this.#size.value = String(Math.round(size));
      this.#say();
      return undefined;
    }
    if (event.key !== "Enter" || !this.#ready()) return undefined;
    const { x, y, w, h } = this.#canvas.visible;
    return this.#paint([{ x: x + w / 2, y: y + h / 2 }]);
  }
}

/**
 * Convert a drawn line to whole px of the world.
 * @param {import("./canvas.js").Canvas} canvas
 * @param {Point[]} points
 * @param {number} width px of the screen
 * @returns {{line: Point[], radius: number}}
 */
export function measured(canvas, points, width) {
  const px = 2 ** -canvas.map.getZoom(); // px of the world per px of the screen
  const radius = Math.min(MOST_RADIUS, Math.max(1, Math.round((width * px) / 2)));
  const line = simplified(points, TOLERANCE_PX * px).map(({ x, y }) => ({ x: Math.round(x), y: Math.round(y) }));
  return { line, radius };
}

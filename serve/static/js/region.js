/** The painted region of the redraw panel, the pixels around it that can change too, and the comparison with before. */

import { toLatLng } from "./canvas.js";
import { measured } from "./brush.js";
import { element, listen } from "./page.js";
import { areaOf, Pencil } from "./pencil.js";
import { lineText } from "./strokes.js";

const STRUCTURE_CELLS = 12; // cells around a change that the layers of content read
const TEXTURE_CELLS = 3;
const COMPARE_KEY = "b";

/** @typedef {import("./api.js").Rect} Rect */
/** @typedef {import("./api.js").Line} Line */

/** A region painted with one line. Fires "change" through the picker, whose rectangle surrounds the line. */
export class PaintedRegion {
  #box = element("resample-paint", HTMLInputElement);
  #size = element("resample-size", HTMLInputElement);
  #pencil;
  #shape = L.polyline([], { className: "brush-line region", interactive: false, smoothFactor: 0, noClip: true });
  #canvas;
  #open = false;
  /** @type {(Line & {rect: Rect}) | null} */
  #value = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {import("./rectangle.js").RectanglePicker} picker
   */
  constructor(canvas, picker) {
    this.#canvas = canvas;
    this.#pencil = new Pencil(canvas, {
      className: () => "region",
      width: () => Number(this.#size.value),
      ready: () => true,
      done: async (points) => {
        const { line, radius } = measured(canvas, points, Number(this.#size.value));
        const rect = areaOf(line, radius);
        this.#value = { points: lineText(line), radius, rect };
        this.#shape.setLatLngs(line.map(({ x, y }) => toLatLng(x, y)));
        picker.set(rect);
      },
    });
    listen(this.#box, "change", () => this.show(this.#open));
    this.#size.addEventListener("input", () => this.#pencil.resize());
    picker.addEventListener("change", () => {
      if (picker.value !== this.#value?.rect) this.#value = null; // a typed or drawn rectangle
      this.#draw();
    });
    canvas.map.on("zoomend", () => this.#draw());
  }

  /** @returns {Partial<Line>} the line, for the request */
  get entry() {
    return this.#value ? { points: this.#value.points, radius: this.#value.radius } : {};
  }

  /** @param {boolean} open whether the panel is open */
  show(open) {
    this.#open = open;
    element("resample-size-field").hidden = !this.#box.checked;
    this.#pencil.active = open && this.#box.checked;
    this.#draw();
  }

  #draw() {
    if (!this.#open || !this.#value) {
      this.#shape.remove();
      return;
    }
    this.#shape.setStyle({ weight: 2 * this.#value.radius * 2 ** this.#canvas.map.getZoom() });
    this.#shape.addTo(this.#canvas.map);
  }
}

/**
 * Draw how far a change of the picker's rectangle can reach. Pixels outside stay as they are, bit for bit.
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./rectangle.js").RectanglePicker} picker
 * @param {{cellPx: number | undefined, fields: HTMLSelectElement}} reach `fields`: what changes
 * @returns {(open: boolean) => void} shows or hides it
 */
export function startHalo(canvas, picker, { cellPx, fields }) {
  const shape = L.rectangle(L.latLngBounds([0, 0], [0, 0]), { className: "halo", interactive: false });
  const words = element("resample-halo");
  let open = false;
  const draw = () => {
    if (!cellPx) return;
    const px = cellPx * (TEXTURE_CELLS + (fields.value === "noise" ? 0 : STRUCTURE_CELLS));
    words.textContent = `Pixels up to ${px} px around it can change too, inside the dotted line.`;
    if (!open || !picker.value) {
      shape.remove();
      return;
    }
    const { x, y, w, h } = picker.value;
    shape.setBounds(L.latLngBounds(toLatLng(x - px, y - px), toLatLng(x + w + px, y + h + px))).addTo(canvas.map);
  };
  picker.addEventListener("change", draw);
  fields.addEventListener("change", draw);
  return (visible) => {
    open = visible;
    draw();
  };
}

/**
 * Show the previous version of the world while the key B or the button is held.
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
export function startComparing(session, canvas) {
  const button = element("compare", HTMLButtonElement);
  let shown = { id: "", revision: "" };
  /** @type {{id: string, revision: string} | null} */
  let before = null;
  session.addEventListener("change", () => {
    const { id, revision } = session.current;
    if (id !== shown.id) before = null;
    else if (revision !== shown.revision) before = shown;
    shown = { id, revision };
    button.disabled = !before;
  });
  /** @param {boolean} held */
  const compare = (held) => {
    button.setAttribute("aria-pressed", String(held));
    if (before) canvas.show(held ? before : session.current);
  };
  button.addEventListener("pointerdown", () => compare(true));
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(end, () => compare(false));
  /** @param {KeyboardEvent} event */
  const isKey = ({ key, repeat, target, ctrlKey, metaKey, altKey }) =>
    key.toLowerCase() === COMPARE_KEY && !repeat && !ctrlKey && !metaKey && !altKey && !isTyping(target);
  document.addEventListener("keydown", (event) => isKey(event) && compare(true));
  document.addEventListener("keyup", (event) => isKey(event) && compare(false));
}

/** @param {EventTarget | null} target */
export function isTyping(target) {
  if (target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["range", "checkbox", "radio"].includes(target.type);
}

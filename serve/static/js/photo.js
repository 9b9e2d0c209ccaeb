/** The panel that adds photographs to the world: lay one on the canvas and continue it, or join two. */

import * as api from "./api.js";
import { startDrop } from "./drop.js";
import { parsePx } from "./link.js";
import { element, listen } from "./page.js";
import { PlacedPhotograph } from "./placing.js";

const MARGINS = ["left", "right", "top", "bottom"];
const WIDEST_PX = 2 ** 14; // most px that the page offers to add

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./jobs.js").Jobs} jobs
 * @param {{info: api.Info, started: () => void}} page `started`: called when a job has begun
 * @returns {{visible: (on: boolean) => void}} shows or hides the photograph that is not continued yet
 */
export function startPhotographs(session, canvas, jobs, { info, started }) {
  const [first, second] = [startDrop(element("photo-drop")), startDrop(element("photo-second-drop"))];
  const start = element("photo-start", HTMLButtonElement);
  const laid = new Laid(canvas, info.photograph_px ?? 0);
  startSecond(second);
  startComparing(session, canvas);
  listen(element("photo-here"), "click", () => laid.take({ x: canvas.visible.x }));
  listen(first, "change", () => {
    start.disabled = !chosen(first);
    return laid.show(chosen(first));
  });
  listen(second, "change", () => laid.hide(chosen(second) !== undefined));
  listen(element("photo-form", HTMLFormElement), "submit", async (event) => {
    event.preventDefault();
    const photos = [first, second].map(chosen).filter((file) => file !== undefined);
    start.disabled = true;
    try {
      jobs.add(await send(session.current, photos));
      for (const input of [second, first]) {
        input.value = "";
        input.dispatchEvent(new Event("change"));
      }
      started();
    } finally {
      start.disabled = !chosen(first);
    }
  });
  return { visible: (on) => laid.visible(on) };
}

/** @param {HTMLInputElement} input */
const chosen = (input) => input.files?.[0];

/** The chosen photograph on the canvas, and the fields that hold its place. */
class Laid {
  #canvas;
  #height;
  #fields = { x: element("photo-x", HTMLInputElement), y: element("photo-y", HTMLInputElement) };
  /** @type {{picture: PlacedPhotograph, url: string} | null} */
  #shown = null;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {number} height of photographs, px of the world
   */
  constructor(canvas, height) {
    this.#canvas = canvas;
    this.#height = height;
    for (const field of Object.values(this.#fields)) listen(field, "change", () => this.#follow());
  }

  /** @param {File | undefined} file */
  async show(file) {
    this.#shown?.picture.remove();
    if (this.#shown) URL.revokeObjectURL(this.#shown.url);
    this.#shown = null;
    this.#fields.x.value = this.#fields.y.value = "";
    const picture = file && (await createImageBitmap(file).catch(() => null));
    if (!picture || !file) return; // the server knows more kinds
    const { width, height } = picture;
    picture.close();
    for (const side of ["left", "right"]) {
      element(`photo-${side}`, HTMLInputElement).value = String(Math.min(WIDEST_PX, Math.round(width / 2)));
    }
    const w = Math.round((width * this.#height) / height);
    const view = this.#canvas.visible;
    const place = { x: Math.round(view.x + (view.w - w) / 2), y: -Math.round(this.#height / 2), w, h: this.#height };
    const url = URL.createObjectURL(file);
    this.#shown = { picture: new PlacedPhotograph(this.#canvas, url, place), url };
    if (view.y > place.y || view.y + view.h < place.y + place.h || view.w < w) this.#canvas.fit(place);
    this.#fields.x.value = String(place.x);
    this.#shown.picture.addEventListener("move", () => {
      const { x, y } = /** @type {{picture: PlacedPhotograph}} */ (this.#shown).picture.place;
      [this.#fields.x.value, this.#fields.y.value] = [String(x), String(y)];
    });
  }

  /** @param {{x: number}} place */
  take({ x }) {
    this.#fields.x.value = String(x);
    this.#follow();
  }

  /** @param {boolean} hidden */
  hide(hidden) {
    document.querySelector(".placing")?.toggleAttribute("hidden", hidden);
  }

  /** @param {boolean} on */
  visible(on) {
    this.hide(!on);
  }

  #follow() {
    const [x, y] = [parsePx(this.#fields.x.value), parsePx(this.#fields.y.value)];
    this.#shown?.picture.move({ ...(x === null ? {} : { x }), ...(y === null ? {} : { y }) });
  }
}

/**
 * With a second photograph there is a gap instead of margins.
 * @param {HTMLInputElement} second
 */
function startSecond(second) {
  const [margins, gap] = [element("photo-margins", HTMLFieldSetElement), element("photo-between", HTMLFieldSetElement)];
  listen(second, "change", () => {
    const joined = chosen(second) !== undefined;
    margins.hidden = margins.disabled = joined; // disabled fields are not validated
    gap.hidden = gap.disabled = !joined;
    element("photo-drops").classList.toggle("both", joined);
    element("photo-start").textContent = joined ? "Join them" : "Continue it";
  });
  listen(element("photo-without"), "click", () => {
    second.value = "";
    second.dispatchEvent(new Event("change"));
    second.focus();
  });
}

/**
 * The slider between photographs and what the model made of them.
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
function startComparing(session, canvas) {
  const slider = element("photo-opacity", HTMLInputElement);
  const show = () => canvas.compare(session.current, 1 - Number(slider.value) / 100);
  listen(slider, "input", show);
  session.addEventListener("change", () => {
    const has = session.current.world.anchors?.some(({ photograph }) => photograph) ?? false;
    element("photo-compare").hidden = !has;
    if (!has) slider.value = "100";
    show();
  });
}

/**
 * @param {api.WorldRecord} record
 * @param {File[]} photos one or two
 */
function send(record, photos) {
  const body = new FormData();
  const joined = photos.length > 1;
  for (const photo of photos) body.append(joined ? "photos" : "photo", photo);
  for (const name of joined ? ["gap"] : MARGINS) {
    body.append(name, element(`photo-${name}`, HTMLInputElement).value || "0");
  }
  body.append("steps", element("photo-steps", HTMLSelectElement).value);
  body.append("samples", element("photo-samples", HTMLSelectElement).value);
  body.append("scale", joined ? "source" : "work"); // the picture at the photograph's own size follows on request
  addPlace(body, "x", "left edge");
  if (!joined) addPlace(body, "y", "top edge");
  return joined ? api.startInbetween(record, body) : api.startOutpaint(record, body);
}

/**
 * @param {FormData} body
 * @param {"x" | "y"} name
 * @param {string} words
 */
function addPlace(body, name, words) {
  const value = element(`photo-${name}`, HTMLInputElement).value.trim();
  if (!value) return;
  if (parsePx(value) === null) throw new Error(`The ${words} is a whole number of px within ±2^40, or empty.`);
  body.append(name, value);
}

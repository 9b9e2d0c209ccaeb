/** The panel that resamples a region: inputs to resample, region to match, new seed, earlier seeds. */

import { element, listen } from "./page.js";
import { addRegionFields, RectanglePicker } from "./rectangle.js";

const MOST_SEEDS = 12;
/** @type {Record<string, string[]>} */
const FIELDS = { all: ["local", "noise"], local: ["local"], noise: ["noise"] };

/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {import("./api.js").Resampling} Resampling */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {RectanglePicker} picker
 * @returns {{visible: (on: boolean) => void}} shows or hides the region to match
 */
export function startResampling(session, canvas, picker) {
  addRegionFields(element("resample-region"), picker, canvas);
  const another = element("resample-another", HTMLButtonElement);
  const fields = element("resample-fields", HTMLSelectElement);
  const history = element("resample-seeds");
  const look = new Look(canvas, fields);
  /** @type {Resampling[]} newest first */
  let tried = [];

  /** @param {Resampling} version */
  const draw = async (version) => {
    await session.resample(version);
    if (!tried.includes(version)) tried = [version, ...tried].slice(0, MOST_SEEDS);
    list(version);
  };
  /** @param {Resampling | null} current */
  const list = (current) => {
    history.replaceChildren(...tried.map((version) => chip(version.seed, version === current, () => draw(version))));
    element("resample-history").hidden = !tried.length;
  };
  const ready = () => (another.disabled = !picker.value || !look.chosen);
  listen(another, "click", () => {
    if (!picker.value) return undefined;
    return draw({ ...picker.value, ...look.entry, fields: FIELDS[fields.value], seed: randomSeed() });
  });
  look.addEventListener("change", ready);
  picker.addEventListener("change", () => {
    ready();
    tried = [];
    list(null);
  });
  return { visible: (on) => look.show(on) };
}

/** The region to match. Fires "change" when it changes or is cleared. */
class Look extends EventTarget {
  #box = element("resample-like", HTMLInputElement);
  #picker;
  #open = false;

  /**
   * @param {import("./canvas.js").Canvas} canvas
   * @param {HTMLSelectElement} fields inputs to resample; noise alone cannot match a region
   */
  constructor(canvas, fields) {
    super();
    this.#picker = new RectanglePicker(canvas, { className: "source", withShift: false });
    addRegionFields(element("like-region"), this.#picker, canvas);
    this.#picker.addEventListener("change", () => this.#tell());
    listen(this.#box, "change", () => this.#tell());
    listen(fields, "change", () => {
      this.#box.disabled = fields.value === "noise";
      this.#tell();
    });
  }

  get #wanted() {
    return this.#box.checked && !this.#box.disabled;
  }

  /** Whether the choice is complete. */
  get chosen() {
    return !this.#wanted || this.#picker.value !== null;
  }

  /** @returns {{like?: import("./api.js").Rect}} its part of the request */
  get entry() {
    return this.#wanted && this.#picker.value ? { like: this.#picker.value } : {};
  }

  /** @param {boolean} open whether the panel is open */
  show(open) {
    this.#open = open;
    this.#tell();
  }

  #tell() {
    element("like-region").hidden = !this.#wanted;
    this.#picker.show(this.#wanted && this.#open);
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {Seed} seed
 * @param {boolean} current
 * @param {() => Promise<void>} choose
 */
function chip(seed, current, choose) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.textContent = String(seed);
  button.setAttribute("aria-pressed", String(current));
  listen(button, "click", choose);
  return button;
}

/** Return a random seed of nine digits, short enough to read out. */
export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000_000;
}

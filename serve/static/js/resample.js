/** The panel that draws a region again: another seed, the seeds that were tried, what is redrawn. */

import { element, listen } from "./page.js";
import { addRegionFields } from "./rectangle.js";

const MOST_SEEDS = 12;
/** @type {Record<string, string[]>} */
const FIELDS = { all: ["local", "noise"], local: ["local"], noise: ["noise"] };

/** @typedef {import("./api.js").Seed} Seed */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./rectangle.js").RectanglePicker} picker
 */
export function startResampling(session, canvas, picker) {
  addRegionFields(element("resample-region"), picker, canvas);
  const another = element("resample-another", HTMLButtonElement);
  const fields = element("resample-fields", HTMLSelectElement);
  const history = element("resample-seeds");
  /** @type {Seed[]} newest first */
  let seeds = [];

  /** @param {Seed} seed */
  const draw = async (seed) => {
    if (!picker.value) return;
    await session.resample({ ...picker.value, fields: FIELDS[fields.value], seed });
    if (!seeds.includes(seed)) seeds = [seed, ...seeds].slice(0, MOST_SEEDS);
    list(seed);
  };
  /** @param {Seed | null} current */
  const list = (current) => {
    history.replaceChildren(...seeds.map((seed) => chip(seed, seed === current, () => draw(seed))));
    element("resample-history").hidden = !seeds.length;
  };
  listen(another, "click", () => draw(randomSeed()));
  picker.addEventListener("change", () => {
    another.disabled = !picker.value;
    seeds = [];
    list(null);
  });
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

/** A seed short enough to be read out: nine digits. */
export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000_000;
}

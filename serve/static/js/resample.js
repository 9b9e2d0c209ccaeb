/** The panel that resamples a region: inputs to resample, region to match, new seed, earlier seeds. */

import { element, listen } from "./page.js";
import { thumbnail } from "./pictures.js";
import { addRegionFields, RectanglePicker } from "./rectangle.js";
import { PaintedRegion, startComparing, startHalo } from "./region.js";

const MOST_SEEDS = 12;
/** @type {Record<string, string[]>} */
const FIELDS = { all: ["local", "noise"], local: ["local"], noise: ["noise"] };

/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {import("./api.js").Resampling} Resampling */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {RectanglePicker} picker
 * @param {import("./api.js").Info} info
 * @returns {{visible: (on: boolean) => void}} shows or hides the shapes on the canvas
 */
export function startResampling(session, canvas, picker, info) {
  addRegionFields(element("resample-region"), picker, canvas);
  const another = element("resample-another", HTMLButtonElement);
  const fields = element("resample-fields", HTMLSelectElement);
  const history = element("resample-seeds");
  const look = new Look(canvas, fields);
  const painted = new PaintedRegion(canvas, picker);
  const showHalo = startHalo(canvas, picker, { cellPx: info.cell_px, fields });
  startComparing(session, canvas);
  const versions = new Versions(session, history, info.zoom);
  const ready = () => (another.disabled = !picker.value || !look.chosen);
  listen(another, "click", () => {
    if (!picker.value) return undefined;
    const part = { ...picker.value, ...painted.entry, ...look.entry };
    return versions.draw({ ...part, fields: FIELDS[fields.value], seed: randomSeed() });
  });
  look.addEventListener("change", ready);
  picker.addEventListener("change", () => {
    ready();
    versions.clear();
  });
  return {
    visible: (on) => {
      look.show(on);
      painted.show(on);
      showHalo(on);
    },
  };
}

/** The versions of a part, newest first, as pictures that restore them. */
class Versions {
  #session;
  #place;
  #zoom;
  /** @type {{version: Resampling, picture: Promise<HTMLCanvasElement>}[]} */
  #tried = [];

  /**
   * @param {import("./session.js").Session} session
   * @param {HTMLElement} place
   * @param {import("./api.js").Zoom} zoom
   */
  constructor(session, place, zoom) {
    this.#session = session;
    this.#place = place;
    this.#zoom = zoom;
  }

  /** @param {Resampling} version */
  async draw(version) {
    const { id, revision } = await this.#session.resample(version);
    if (!this.#tried.some((entry) => entry.version === version)) {
      const picture = thumbnail({ id, revision }, version, this.#zoom);
      this.#tried = [{ version, picture }, ...this.#tried].slice(0, MOST_SEEDS);
    }
    this.#list(version);
  }

  clear() {
    this.#tried = [];
    this.#list(null);
  }

  /** @param {Resampling | null} current */
  #list(current) {
    this.#place.replaceChildren(
      ...this.#tried.map(({ version, picture }) =>
        chip(version.seed, picture, version === current, () => this.draw(version)),
      ),
    );
    element("resample-history").hidden = !this.#tried.length;
  }
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
 * A button with the picture of a version.
 * @param {Seed} seed
 * @param {Promise<HTMLCanvasElement>} picture
 * @param {boolean} current
 * @param {() => Promise<void>} choose
 */
function chip(seed, picture, current, choose) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip version";
  button.title = `Seed ${seed}`;
  button.setAttribute("aria-label", `Version of seed ${seed}`);
  void picture.then((canvas) => button.replaceChildren(canvas));
  button.setAttribute("aria-pressed", String(current));
  listen(button, "click", choose);
  return button;
}

/** Return a random seed of nine digits, short enough to read out. */
export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000_000;
}

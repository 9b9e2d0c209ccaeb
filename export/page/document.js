/** World documents, completed by the defaults of `infgen/world/world.py`, and checked for what a browser can render. */

/** @typedef {import("../api.js").Seed} Seed */
/** @typedef {{cellPx: number, coordinates: import("./coordinates.js").System}} Sizes what a model asks of a document */
/** @typedef {import("../api.js").Layout & {strokes?: import("./strokes.js").Stroke[]}} Layout */
/**
 * @typedef {object} CompleteWorld
 * @property {number} schema
 * @property {Seed} seed
 * @property {import("../api.js").Source} [style]
 * @property {Layout} [layout]
 * @property {number} truncation
 * @property {number} local_truncation
 * @property {number} noise
 * @property {number} [period] px along x
 * @property {number} [period_y]
 * @property {import("./fields.js").Edit[]} [edits]
 */

const SCHEMA = 3;
const DEFAULTS = { seed: 0, style: {}, truncation: 0.7, local_truncation: 0.5, noise: 1 };
const NOT_TRUNCATED = { truncation: 1, local_truncation: 1 }; // the defaults of schema 1, and of lands from above
const NAMES = new Set([...Object.keys(DEFAULTS), "layout", "period", "period_y", "edits", "anchors"]);

/**
 * Complete a document.
 * @param {any} document
 * @param {Sizes} model
 * @returns {CompleteWorld} throws an Error with one line for a document that this page cannot render
 */
export function complete(document, { cellPx, coordinates }) {
  if (typeof document !== "object" || document === null) throw new Error("This is no world file.");
  if (document.anchors?.length) {
    throw new Error("This world has photographs, which need a server: open it with infgen serve or infgen render.");
  }
  const { $schema: _, schema = SCHEMA, ...entries } = document;
  checkNames(entries, schema);
  const truncated = schema !== 1 && coordinates === "scenery";
  const world = { ...DEFAULTS, ...(truncated ? {} : NOT_TRUNCATED), ...entries, schema: SCHEMA };
  checkValues(world, cellPx);
  return world;
}

/**
 * @param {object} entries
 * @param {unknown} schema
 */
function checkNames(entries, schema) {
  const unknown = Object.keys(entries).find((name) => !NAMES.has(name));
  if (unknown === undefined && Number.isInteger(schema) && 1 <= Number(schema) && Number(schema) <= SCHEMA) return;
  throw new Error(`This is no world file, or one of a newer infgen: ${unknown ?? `schema ${schema}`} is unknown here.`);
}

/**
 * @param {any} world
 * @param {number} cellPx
 */
function checkValues(world, cellPx) {
  if (!["number", "bigint"].includes(typeof world.seed)) throw new Error("The seed of a world is a whole number.");
  for (const name of ["truncation", "local_truncation", "noise"]) {
    if (!Number.isFinite(world[name])) throw new Error(`The entry ${name} of a world is a number.`);
  }
  const { period = cellPx, period_y: down = cellPx, layout = { styles: [0] } } = world;
  if (![period, down].every((px) => px > 0 && px % cellPx === 0)) {
    throw new Error(`The periods of a world are multiples of ${cellPx} px with this model.`);
  }
  if (!layout.styles?.length) throw new Error("The layout of this world has no styles.");
}

/**
 * A short hash of everything that the pixels of a world depend on, besides the model.
 * @param {string} text
 */
export function hash(text) {
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < text.length; i += 1) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ a, 0x85ebca6b) ^ (b >>> 13);
  }
  return [a, b].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** The API of the page without a server: worlds in the browser's storage, tiles and exports from its workers. */

import { Connection } from "../connection.js";
import { withDraft } from "../strokes.js";
import { positionsIn } from "./geometry.js";
import { complete } from "./document.js";
import { coveredBy } from "./fields.js";
import { ExportJob } from "./exporting.js";
import { openPool } from "./pool.js";
import { TileSource, tilePx } from "./source.js";
import { WorldStore } from "./store.js";

const MOST_EXPORT_PIXELS = 2 ** 24;
const MOST_TRANSITION = 1009;
const COARSER = 3; // levels from a view to its first picture: the coarsest, as browsers are slow
const FROM_ABOVE = -1; // zoom level at which lands from above open
const STYLE_PX = 96;
const STYLE_VIEW_PX = 256; // side of the window of a style preview, for models of one scale
const LAST = 3; // turn of previews and exports: after all tiles
const MOST_LIKE_CELLS = 2 ** 16;

/** @typedef {import("../api.js").WorldRecord} WorldRecord */
/** @typedef {import("../api.js").World} World */
/** @typedef {import("../api.js").Seed} Seed */
/** @typedef {import("./model.js").Model} Model */

/** A failed request. `status`: as a server's; 0 for any other failure. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {number} wait
   */
  constructor(message, status, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

const store = new WorldStore();
const base = new URL("./", document.baseURI).href;
/** @type {Promise<{model: Model, source: TileSource}>} */
const started = start();

async function start() {
  const response = await fetch(new URL("model/model.json", base));
  if (!response.ok) throw new ApiError("The model of this page is missing. Export the page again.", response.status);
  const model = /** @type {Model} */ (await response.json());
  const pool = await openPool(model, base);
  const source = new TileSource(pool, model, (id, revision) => complete(store.at(id, revision), sizesOf(model)));
  return { model, source };
}

/** @param {Model} model */
const sizesOf = ({ levels, coordinates }) => ({ cellPx: 2 ** levels, coordinates });

/** @param {number} distance among the last ones */
const last = (distance = 0) => /** @type {() => [number, number]} */ (() => [LAST, distance]);

/** @returns {Promise<import("../api.js").Info>} */
export async function info() {
  const { model } = await started;
  const most = Math.max(...model.halvings);
  const min = most ? -most : -2;
  const levels = Array.from({ length: 1 - min }, (_, i) => -i);
  for (const z of levels) sides.set(z, tilePx(model, z));
  return {
    model: model.model,
    cell_px: 2 ** model.levels,
    zoom: {
      min,
      max: 0,
      first: model.coordinates === "scenery" ? 0 : Math.max(min, FROM_ABOVE), // farther out, a view takes long
      pictures: model.halvings.map((halvings) => 0 - halvings),
      coarser: COARSER,
      tile_px: Object.fromEntries(sides),
    },
    limits: { export_pixels: MOST_EXPORT_PIXELS, transition: MOST_TRANSITION },
    local: true,
  };
}

export const worlds = async () => store.list();

/** @param {string} id */
export async function world(id) {
  if (!store.has(id)) throw new ApiError(`There is no world ${id} in this browser.`, 404);
  return store.get(id);
}

/**
 * @param {any} document
 * @returns {Promise<World>}
 */
async function checked(document) {
  const { model } = await started;
  try {
    return /** @type {any} */ (complete(document, sizesOf(model)));
  } catch (error) {
    throw new ApiError(error instanceof Error ? error.message : String(error), 400);
  }
}

/** @param {{name?: string, world: any}} body */
export async function createWorld({ name, world: document }) {
  const made = await checked(document);
  return store.create(made, name ?? `World ${made.seed}`);
}

/**
 * @param {string} id
 * @param {{name?: string, favourites?: import("../api.js").Favourite[]}} values
 */
export const describeWorld = async (id, values) => store.describe(id, values);

/** @param {string} id */
export async function duplicateWorld(id) {
  const { world: document, name, favourites } = store.get(id);
  return store.describe(store.create(document, `${name} copy`).id, { favourites });
}

/** @param {string} id */
export const revisions = async (id) => store.revisions(id);

/** @param {string} id */
export async function deleteWorld(id) {
  store.remove(id);
  return null;
}

/**
 * @param {WorldRecord} record
 * @param {World} changed
 */
export async function putWorld(record, changed) {
  return store.change(record.id, await checked(changed));
}

/**
 * Add an edit that resamples a rectangle, and drop the edits that it covers.
 * @param {WorldRecord} record
 * @param {import("../api.js").Resampling} body
 */
export async function resample(record, { like, ...edit }) {
  const { source, model } = await started;
  const cellPx = 2 ** model.levels;
  const bare = /** @type {any} */ ({ ...record.world, edits: keptEdits(record.world, edit) });
  /** @type {(rect: import("../api.js").Rect) => import("./geometry.js").Window} */
  const cellsIn = ({ x, y, w, h }) => ({ x: positionsIn(x, w, cellPx), y: positionsIn(y, h, cellPx) });
  const inside = cellsIn(edit);
  const changes = inside.x.size && inside.y.size && (coveredBy(edit, inside, cellPx)?.some(Boolean) ?? true);
  if (edit.fields.includes("local") && !changes) {
    throw new ApiError(`The rectangle holds no centre of a cell. Give at least ${cellPx} × ${cellPx} px.`, 400);
  }
  let statistics = {};
  if (like) {
    const cells = cellsIn(like);
    const count = cells.x.size * cells.y.size;
    if (count < 2 || count > MOST_LIKE_CELLS) {
      throw new ApiError(`The region to match has ${count} cells. Give 2 to ${MOST_LIKE_CELLS}.`, 400);
    }
    const request = { kind: "statistics", world: complete(bare, sizesOf(model)), cells };
    statistics = await source.ask(request, { urgency: () => [0, 0] });
  }
  return putWorld(record, { ...bare, edits: [...bare.edits, { ...edit, ...statistics }] });
}

/**
 * @param {World} world
 * @param {import("../api.js").Resampling} edit
 */
function keptEdits({ edits = [] }, { x, y, w, h, fields, points, radius }) {
  return /** @type {import("./fields.js").Edit[]} */ (edits).filter((old) => {
    if (points !== undefined && (points !== old.points || radius !== old.radius)) return true;
    const across = x <= old.x && old.x + old.w <= x + w;
    const down = y <= old.y && old.y + old.h <= y + h;
    return !(across && down && old.fields.every((field) => fields.includes(field)));
  });
}

/** @param {WorldRecord} record */
export const undo = async (record) => store.step(record.id, -1);
/** @param {WorldRecord} record */
export const redo = async (record) => store.step(record.id, 1);

/** @returns {Promise<{seed: import("../api.js").Seed, distance: number}[]>} */
export async function stylesLike() {
  throw new ApiError("Finding styles like a photograph needs infgen serve.", 501);
}

/** @type {Map<string, ExportJob>} */
const running = new Map();

/**
 * @param {WorldRecord} record
 * @param {import("../api.js").Rect & {format: string}} body
 */
export async function startExport(record, { x, y, w, h }) {
  const { source, model } = await started;
  if (w * h > MOST_EXPORT_PIXELS) throw new ApiError(`At most ${MOST_EXPORT_PIXELS} px in one picture.`, 413);
  const order = {
    world: complete(record.world, sizesOf(model)),
    revision: record.revision,
    record: { id: record.id, name: record.name },
    rect: { x, y, w, h },
    name: `world-${record.world.seed}-${x}-${y}-${w}x${h}.png`,
    infgen: model.infgen,
  };
  const job = new ExportJob(source, order);
  running.set(job.id, job);
  return job.state;
}

/** @param {string} id */
const jobOf = (id) => /** @type {ExportJob} */ (running.get(id));
export const jobs = async () => [...running.values()].map((job) => job.state).reverse();
/** @param {string} id */
export const cancelJob = async (id) => {
  jobOf(id).cancel();
  if (jobOf(id).state.state !== "running") running.delete(id);
};
/** @param {string} path an address of the browser's own */
export const fileUrl = (path) => path;

const NEEDS_SERVER = "Photographs need a server: run infgen serve.";
/** @type {(record: WorldRecord, form: FormData) => Promise<import("../api.js").Job>} */
export const startOutpaint = async () => {
  throw new ApiError(NEEDS_SERVER, 501);
};
/** @type {(record: WorldRecord, form: FormData) => Promise<import("../api.js").Job>} */
export const startInbetween = startOutpaint;
/** @type {typeof import("../api.js").startPicture} */
export const startPicture = async () => {
  throw new ApiError(NEEDS_SERVER, 501);
};

const NEEDS_MAPS = "Painted maps need infgen serve, or infgen map.";
/** @type {typeof import("../api.js").fetchMap} */
export const fetchMap = async () => {
  throw new ApiError(NEEDS_MAPS, 501);
};
/** @type {typeof import("../api.js").paintWorld} */
export const paintWorld = async () => {
  throw new ApiError(NEEDS_MAPS, 501);
};
/** The browser is always there. */
export const connection = new Connection(async () => true);

/**
 * The side in pixels of tiles of a zoom level that are rendered soon enough.
 * @param {number} z
 */
export const tileSide = (z) => sides.get(z) ?? 256;
/** @type {Map<number, number>} */
const sides = new Map();

/** The workers choose the order themselves, from all tiles that wait. */
export const PARALLEL_TILES = Infinity;

/**
 * @param {import("../api.js").TileAddress} tile
 * @param {{signal: AbortSignal, urgency: () => [number, number]}} options
 * @returns {Promise<ImageBitmap>}
 */
export async function fetchTile(tile, options) {
  const { source } = await started;
  return source.tile(tile, options);
}

/**
 * @param {import("../api.js").ViewAddress} view
 * @param {{signal: AbortSignal}} options
 * @returns {Promise<Blob>}
 */
export async function fetchView({ world: { id, revision }, z, rect, draft }, { signal }) {
  const { source, model } = await started;
  const saved = store.at(id, revision);
  const world = complete(draft ? withDraft(saved, draft) : saved, sizesOf(model));
  const parts = [{ x: 0, y: 0, w: rect.w, h: rect.h }];
  const shown = draft ? `${revision} ${JSON.stringify(draft.strokes)}` : revision;
  const request = { kind: "window", world, revision: shown, halvings: 0 - z, rect, block: 1, parts };
  const { pictures } = await source.ask(request, { signal, urgency: () => [0, 0] });
  return toBlob(pictures[0], rect.w, rect.h);
}

/**
 * A picture of a tile, for lists.
 * @param {{id: string, revision: string}} world_
 * @param {number} z
 * @param {number} x
 * @param {number} y
 */
export async function tileUrl(world_, z, x, y) {
  const { source, model } = await started;
  const halvings = Math.max(...model.halvings);
  const px = 256 * 2 ** -z / 2 ** halvings; // of the coarsest scale
  const rect = { x: x * px, y: y * px, w: px, h: px };
  const world = complete(store.at(world_.id, world_.revision), sizesOf(model));
  const parts = [{ x: 0, y: 0, w: px, h: px }];
  const request = { kind: "window", world, revision: world_.revision, halvings, rect, block: 1, parts };
  const { pictures } = await source.ask(request, { urgency: last(1) });
  return URL.createObjectURL(await toBlob(pictures[0], px, px));
}

/** @type {Map<string, Promise<string>>} */
const stylePictures = new Map();

/**
 * The picture of a style: a file of the page for the first seeds, otherwise rendered.
 * @param {Seed} seed
 * @returns {Promise<string>}
 */
export async function styleUrl(seed) {
  const { model } = await started;
  if (seed >= 0 && seed < model.previews) return new URL(`styles/${seed}.webp`, base).href;
  const key = String(seed);
  const found = stylePictures.get(key) ?? renderStyle(seed);
  stylePictures.set(key, found);
  return found;
}

/** @param {Seed} seed */
async function renderStyle(seed) {
  const { source, model } = await started;
  const fitting = model.halvings.filter((halvings) => model.view_px >> halvings >= STYLE_PX);
  const halvings = model.halvings.length > 1 ? Math.max(0, ...fitting) : 0;
  const side = model.halvings.length > 1 ? model.view_px >> halvings : STYLE_VIEW_PX;
  const corner = 0 - Math.floor(side / 2);
  const world = complete({ seed: 0, style: { seed } }, sizesOf(model));
  const parts = [{ x: 0, y: 0, w: side, h: side }];
  const rect = { x: corner, y: corner, w: side, h: side };
  const request = { kind: "window", world, revision: `style ${seed}`, halvings, rect, block: 1, parts };
  const { pictures } = await source.ask(request, { urgency: last() });
  return URL.createObjectURL(await toBlob(pictures[0], STYLE_PX, STYLE_PX));
}

/**
 * @param {ImageBitmap} picture
 * @param {number} width px
 * @param {number} height px
 */
function toBlob(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (context) context.imageSmoothingQuality = "high";
  context?.drawImage(picture, 0, 0, width, height);
  picture.close();
  return canvas.convertToBlob();
}

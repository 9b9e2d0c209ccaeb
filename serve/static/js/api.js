/**
 * The server's API, one function per request. Addresses are relative, so the page works under any prefix.
 * The page without a server (`infgen export --web`) replaces this module by one with the same exports.
 */

import { Connection } from "./connection.js";
import { parse, stringify } from "./json.js";

/** @typedef {number | bigint} Seed any 64-bit integer */
/** @typedef {{x: number, y: number, w: number, h: number}} Rect px of the world: x to the right, y down */
/** @typedef {{seed?: Seed, mean?: true, truncation?: number, mix?: {seed: Seed, crossover: number}, latent?: object}} Source */
/** @typedef {Source & {name: string, texture?: Source}} Style */
/** @typedef {{style: string, x: number, y: number}} Centre */
/** @typedef {{points: string, radius: number, hardness: number, style?: string}} Stroke points: "x y x y ..." */
/** @typedef {{centres?: Centre[], painting?: object, strokes?: Stroke[]}} Places where styles lie; strokes lie on top */
/** @typedef {Places & {schema: 1, styles: Style[], transition: number}} Layout */
/** @typedef {{file: string, seed?: Seed, photograph?: object}} Anchor */
/** @typedef {{anchors?: Anchor[], edits?: (Rect & {seed: Seed})[]}} Changes photographs and redrawn parts */
/** @typedef {Changes & {seed: Seed, truncation?: number, style?: Source, layout?: Layout}} World */
/** @typedef {{points: string, radius: number}} Line positions within `radius` of "x y x y ..." */
/** @typedef {Rect & Partial<Line> & {fields: string[], seed: Seed, like?: Rect}} Resampling `like`: region to match */
/** @typedef {{seed: Seed, name?: string}} Favourite a style that is kept with a world */
/** @typedef {{id: string, name: string, revision: string, modified: string}} WorldEntry */
/** @typedef {{id: string, name: string, revision: string, world: World, can_undo: boolean, can_redo: boolean}} Opened */
/** @typedef {Opened & {favourites?: Favourite[]}} WorldRecord */
/**
 * @typedef {object} Zoom
 * @property {number} min
 * @property {number} max
 * @property {number} first level at which the page opens
 * @property {number[]} pictures levels that the model renders directly
 * @property {number} [coarser] levels from the view to its first picture, at most; 2 by default
 * @property {Record<string, number>} [tile_px] side of the sharp tiles of a level; 256 by default
 */
/**
 * @typedef {object} Info
 * @property {number} [levels] upsampling levels of the model
 * @property {number} [cell_px] side of a cell in px
 * @property {{name: string, sha256: string}} model
 * @property {Zoom} zoom
 * @property {Object<string, number>} limits
 * @property {number} [photograph_px] height of photographs, px of the world
 * @property {boolean} [local] whether the browser renders the tiles, without a server
 */

/** A failed request, with the server's error line or the connection error. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status; 0 without a response
   * @param {number} wait seconds that the server asks for; 0 without such a request
   */
  constructor(message, status, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

/**
 * @param {string} path below the API's root
 * @returns {string}
 */
function address(path) {
  return new URL(`api/v1/${path}`, document.baseURI).href;
}

/**
 * @param {string} path
 * @param {{method?: string, json?: unknown, form?: FormData, match?: string}} [options] `match`: revision for If-Match
 * @returns {Promise<any>} JSON of the response, or null
 */
async function request(path, { method = "GET", json, form, match } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (match !== undefined) headers["If-Match"] = `"${match}"`;
  const body = json === undefined ? form : stringify(json);
  const response = await answer(address(path), { method, headers, body, cache: "no-store" });
  const text = await response.text();
  const wait = Number(response.headers.get("Retry-After")) || 0;
  if (!response.ok) throw new ApiError(complaint(text, response.status), response.status, wait);
  return text ? parse(text) : null;
}

/**
 * @param {string} url
 * @param {RequestInit} init
 */
async function answer(url, init) {
  try {
    return await fetch(url, init);
  } catch {
    if (!init.signal?.aborted) connection.lose();
    throw new ApiError("The server does not answer. Is infgen serve still running?", 0);
  }
}

/** Whether the server answers. A server that starts answers 503. */
export const connection = new Connection(() =>
  fetch(address("info"), { cache: "no-store" }).then(
    ({ status }) => status !== 503,
    () => false,
  ),
);

/**
 * Extract the error line from a response body.
 * @param {string} text
 * @param {number} status
 * @returns {string}
 */
function complaint(text, status) {
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return error;
  } catch {
    // an HTML page of a proxy
  }
  return `The server answered with status ${status}.`;
}

/** @param {WorldRecord} record */
const match = (record) => record.revision;
/** @param {{id: string}} world */
const path = (world) => `worlds/${encodeURIComponent(world.id)}`;

/** @returns {Promise<Info>} */
export const info = () => request("info");
/** @returns {Promise<WorldEntry[]>} */
export const worlds = () => request("worlds");
/** @type {(id: string) => Promise<WorldRecord>} */
export const world = (id) => request(path({ id }));
/** @type {(body: {name?: string, world: {seed: Seed}}) => Promise<WorldRecord>} */
export const createWorld = (json) => request("worlds", { method: "POST", json });
/** @type {(id: string) => Promise<null>} */
export const deleteWorld = (id) => request(path({ id }), { method: "DELETE" });
/** @type {(id: string, json: {name?: string, favourites?: Favourite[]}) => Promise<WorldRecord>} */
export const describeWorld = (id, json) => request(path({ id }), { method: "PATCH", json });
/** @type {(id: string) => Promise<WorldRecord>} */
export const duplicateWorld = (id) => request(`${path({ id })}/duplicate`, { method: "POST" });
/** @type {(id: string) => Promise<{revision: string, current: boolean}[]>} oldest first */
export const revisions = (id) => request(`${path({ id })}/revisions`);
/** @type {(record: WorldRecord, world: World) => Promise<WorldRecord>} */
export const putWorld = (record, changed) =>
  request(path(record), { method: "PUT", json: { world: changed }, match: match(record) });
/** @type {(record: WorldRecord, body: Resampling) => Promise<WorldRecord>} */
export const resample = (record, json) =>
  request(`${path(record)}/resample`, { method: "POST", json, match: match(record) });
/** @type {(record: WorldRecord) => Promise<WorldRecord>} */
export const undo = (record) => request(`${path(record)}/undo`, { method: "POST", match: match(record) });
/** @type {(record: WorldRecord) => Promise<WorldRecord>} */
export const redo = (record) => request(`${path(record)}/redo`, { method: "POST", match: match(record) });

/** @typedef {"queued" | "running" | "done" | "failed" | "cancelled"} State */
/**
 * @typedef {object} Job
 * @property {string} id
 * @property {"export" | "outpaint" | "inbetween" | "picture"} kind
 * @property {string} name of what it makes, or of the downloaded file
 * @property {string} world id
 * @property {string | null} world_name null: deleted
 * @property {State} state
 * @property {string | null} stage what it does at present
 * @property {{done: number, total: number}} progress total 0: unknown
 * @property {number | null} seconds_left
 * @property {Record<string, number>} terms of an inversion
 * @property {string | null} preview path of a picture
 * @property {Rect | null} region what the result shows
 * @property {string | null} result path of the file
 * @property {string | null} revision that the result shows
 * @property {string[]} anchors files of latents that it added to the world
 * @property {{seed: Seed, picture: string}[]} continuations
 * @property {Sides | null} sides px around the photograph
 * @property {string | null} error
 */

/** @type {(record: WorldRecord, body: Rect & {format: string}) => Promise<Job>} */
export const startExport = (record, body) =>
  request(`${path(record)}/exports`, { method: "POST", json: { ...body, revision: record.revision } });
/** @type {(record: WorldRecord, form: FormData) => Promise<Job>} */
export const startOutpaint = (record, form) => request(`${path(record)}/outpaint`, { method: "POST", form });
/** @type {(record: WorldRecord, form: FormData) => Promise<Job>} */
export const startInbetween = (record, form) => request(`${path(record)}/inbetween`, { method: "POST", form });
/** @type {(photo: File) => Promise<{seed: Seed, distance: number}[]>} nearest first */
export function stylesLike(photo) {
  const form = new FormData();
  form.append("photo", photo);
  return request("styles/like", { method: "POST", form });
}
/** @typedef {{left: number, top: number, right: number, bottom: number}} Sides px of a picture around a photograph */
/** @type {(record: WorldRecord, body: Partial<Sides> & {anchor: string}) => Promise<Job>} */
export const startPicture = (record, body) =>
  request(`${path(record)}/pictures`, { method: "POST", json: { ...body, revision: record.revision } });
/** @returns {Promise<Job[]>} newest first */
export const jobs = () => request("jobs");
/** @type {(id: string) => Promise<unknown>} */
export const cancelJob = (id) => request(`jobs/${id}`, { method: "DELETE" });

/** @param {string} path relative to the API, as in job records */
export const fileUrl = (path) => address(path);
/** @typedef {{id: string, revision: string, model?: boolean}} Shown `model`: the model's pixels, without photographs */
/** @type {(world: Shown, z: number, x: number, y: number) => string | Promise<string>} */
export const tileUrl = (world, z, x, y) =>
  address(`${path(world)}/${world.revision}/tiles/${z}/${x}/${y}.webp${world.model ? "?photographs=false" : ""}`);
/** @type {(seed: Seed) => string | Promise<string>} */
export const styleUrl = (seed) => address(`styles/${seed}.webp?size=96`);

/**
 * Number of tiles that the page requests at once: browsers open six connections per server; two stay free.
 * @type {number}
 */
export const PARALLEL_TILES = 4;

/**
 * Side in pixels of the tiles of a zoom level.
 * @type {(z: number) => number}
 */
export const tileSide = () => 256;

/** @typedef {{world: Shown, z: number, x: number, y: number, px: number}} TileAddress */

/**
 * Fetch a tile of `px` x `px` pixels.
 * @param {TileAddress} tile
 * @param {{signal: AbortSignal, urgency: () => [number, number]}} options `urgency`: turn and distance, lower is earlier
 * @returns {Promise<ImageBitmap>} rejects with an ApiError
 */
export async function fetchTile({ world, z, x, y }, { signal }) {
  const response = await answer(/** @type {string} */ (tileUrl(world, z, x, y)), { signal });
  if (response.ok) return createImageBitmap(await response.blob());
  const wait = Number(response.headers.get("Retry-After")) || 0;
  throw new ApiError(complaint(await response.text(), response.status), response.status, wait);
}

/** @typedef {{styles: Style[], transition: number, strokes: Stroke[]}} Draft strokes that are not part of a world yet */
/** @typedef {{world: Shown, z: number, rect: Rect, draft?: Draft}} ViewAddress `rect`: in pixels of level `z` */

/**
 * Fetch one picture of a rectangle.
 * @param {ViewAddress} view
 * @param {{signal: AbortSignal}} options
 * @returns {Promise<Blob>} rejects with an ApiError
 */
export async function fetchView({ world, z, rect: { x, y, w, h }, draft }, { signal }) {
  const url = address(`${path(world)}/${world.revision}/views/${z}/${x}/${y}/${w}/${h}.webp`);
  const headers = { "Content-Type": "application/json" };
  const response = await answer(url, { signal, ...(draft && { method: "POST", headers, body: stringify(draft) }) });
  if (response.ok) return response.blob();
  throw new ApiError(complaint(await response.text(), response.status), response.status);
}

/** @type {(record: WorldRecord, rect: Rect) => Promise<Blob>} the styles of a part as a painted map */
export async function fetchMap(record, { x, y, w, h }) {
  const url = address(`${path(record)}/${record.revision}/map.png?x=${x}&y=${y}&w=${w}&h=${h}`);
  const response = await answer(url, {});
  if (response.ok) return response.blob();
  throw new ApiError(complaint(await response.text(), response.status), response.status);
}

/** @type {(record: WorldRecord, map: File, rect: Rect) => Promise<WorldRecord>} */
export function paintWorld(record, map, rect) {
  const form = new FormData();
  form.append("map", map);
  for (const [name, value] of Object.entries(rect)) form.append(name, String(value));
  return request(`${path(record)}/map`, { method: "POST", form, match: match(record) });
}

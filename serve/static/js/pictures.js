/** Small pictures of parts of a world, put together from its tiles. */

import { ApiError, fetchTile, tileSide } from "./api.js";

const BUSY = new Set([0, 429, 503, 504]);
const MOST_TRIES = 6;
const WAIT_MS = 1000;

/** @typedef {import("./api.js").Rect} Rect */
/** @typedef {{id: string, revision: string}} Revision */

/**
 * Draw `area` of a revision with tiles of level `z`.
 * @param {Revision} world
 * @param {Rect} area px of the world
 * @param {number} z
 * @returns {Promise<HTMLCanvasElement>} 2^z pixels per px; parts whose tiles fail stay empty
 */
export async function drawArea(world, area, z) {
  const { id, revision } = world;
  const scale = 2 ** z;
  const px = tileSide(z);
  const side = px / scale;
  const picture = document.createElement("canvas");
  picture.width = Math.max(1, Math.round(area.w * scale));
  picture.height = Math.max(1, Math.round(area.h * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  const { signal } = new AbortController();
  /** @type {Promise<void>[]} */
  const drawn = [];
  /** @type {(x: number, y: number) => Promise<void>} */
  const draw = async (x, y) => {
    const address = { world: { id, revision }, z, x, y, px };
    const tile = await insist(() => fetchTile(address, { signal, urgency: () => [0, 0] }));
    context.drawImage(tile, (x * side - area.x) * scale, (y * side - area.y) * scale, px, px);
    tile.close();
  };
  for (let y = Math.floor(area.y / side); y * side < area.y + area.h; y += 1) {
    for (let x = Math.floor(area.x / side); x * side < area.x + area.w; x += 1) drawn.push(draw(x, y));
  }
  await Promise.allSettled(drawn);
  return picture;
}

/**
 * Ask again while the server is busy.
 * @param {() => Promise<ImageBitmap>} ask
 */
async function insist(ask) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || !BUSY.has(error.status) || tries === MOST_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.wait || WAIT_MS * tries));
    }
  }
}

/**
 * Draw a thumbnail of `area`, at most `side` pixels wide and high, from the cheapest level that is fine enough.
 * @param {Revision} world
 * @param {Rect} area
 * @param {import("./api.js").Zoom} zoom
 * @param {number} [side]
 */
export function thumbnail(world, area, zoom, side = 96) {
  const wanted = Math.log2(side / Math.max(area.w, area.h));
  const levels = zoom.pictures.filter((z) => z <= 0).sort((a, b) => a - b);
  const z = levels.find((level) => level >= wanted) ?? Math.max(...levels);
  return drawArea(world, area, z);
}

/**
 * Read and write the address bar: world, seed, centre in px and zoom, as in #world=ab12&seed=7&x=0&y=0&z=-1.
 * Copied links also hold the packed document of a changed world, see `sharing.js`.
 */

import { number } from "./json.js";

const WHOLE = /^-?\d{1,20}$/;
export const LIMIT_PX = 2 ** 40; // largest distance from the origin

/** @typedef {{world?: string, seed?: number | bigint, x?: number, y?: number, z?: number, doc?: string}} Place */

/**
 * Parse a link. Omits missing and invalid parts.
 * @param {string} hash
 * @returns {Place}
 */
export function parseLink(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Place} */
  const place = {};
  const world = parts.get("world");
  if (world) place.world = world;
  const seed = parseSeed(parts.get("seed") ?? "");
  if (seed !== null) place.seed = seed;
  for (const axis of /** @type {const} */ (["x", "y"])) {
    const value = parsePx(parts.get(axis) ?? "");
    if (value !== null) place[axis] = value;
  }
  const zoom = parts.get("z") ?? "";
  if (/^-?\d{1,2}$/.test(zoom)) place.z = Number(zoom);
  const doc = parts.get("doc");
  if (doc) place.doc = doc;
  return place;
}

/**
 * @param {Place} place
 * @returns {string}
 */
export function formatLink(place) {
  const { world, seed, x, y, z, doc } = place;
  const pairs = Object.entries({ world, seed, x, y, z, doc }).filter(([, value]) => value !== undefined);
  return `#${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}`;
}

/**
 * A 64-bit integer, null for anything else.
 * @param {string} text
 * @returns {number | bigint | null}
 */
export function parseSeed(text) {
  if (!WHOLE.test(text.trim())) return null;
  const exact = BigInt(text.trim());
  return exact >= -(2n ** 63n) && exact < 2n ** 64n ? number(text.trim()) : null;
}

/**
 * A position in px, at most 2^40 from the origin; null for anything else.
 * @param {string} text
 * @returns {number | null}
 */
export function parsePx(text) {
  if (!WHOLE.test(text.trim())) return null;
  const value = Number(text);
  return Math.abs(value) <= LIMIT_PX ? value : null;
}

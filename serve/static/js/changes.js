/** Find the part of a world that a change of its document reaches. */

import { ownStyle, transitionOf } from "./layout.js";
import { stringify } from "./json.js";

const STROKE_REACH = 0.6; // of the radius, around a stroke: the visible part of the transition
const EDIT_REACH = 3; // cells around a redrawn part that change visibly

/** @typedef {import("./api.js").World} World */
/** @typedef {import("./api.js").Rect} Rect */

/**
 * Return the rectangle that a change reaches visibly.
 * @param {World | undefined} before
 * @param {World | undefined} after
 * @param {number} cellPx
 * @returns {Rect | null} px of the world; null: any part can change
 */
export function changedArea(before, after, cellPx) {
  if (!before || !after || groundOf(before) !== groundOf(after) || !sameStyles(before, after)) return null;
  const strokes = different(before.layout?.strokes, after.layout?.strokes).map(strokeBox);
  const margin = EDIT_REACH * cellPx;
  const edits = different(before.edits, after.edits).map((edit) => grown(edit, margin));
  return around([...strokes, ...edits]);
}

/**
 * Describe everything but strokes, edits and names.
 * @param {World} world
 */
function groundOf(world) {
  const { centres = [], painting = null, styles = [ownStyle(world)] } = world.layout ?? {};
  const { name: _, ...source } = styles[0];
  const ground = centres.length || painting ? { centres, painting } : source;
  const rest = { ...world, schema: 0, layout: ground, edits: [], style: null, transition: transitionOf(world) };
  return stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Whether styles of one name are equal in both worlds.
 * @param {World} before
 * @param {World} after
 */
function sameStyles(before, after) {
  const old = new Map((before.layout?.styles ?? []).map((style) => [style.name, stringify(style)]));
  return (after.layout?.styles ?? []).every((style) => (old.get(style.name) ?? stringify(style)) === stringify(style));
}

/**
 * List what follows the common beginning of two lists, from both.
 * @template T
 * @param {T[]} [before]
 * @param {T[]} [after]
 */
function different(before = [], after = []) {
  let same = 0;
  while (same < before.length && same < after.length && stringify(before[same]) === stringify(after[same])) same += 1;
  return [...before.slice(same), ...after.slice(same)];
}

/** @param {import("./api.js").Stroke} stroke */
export function strokeBox({ points, radius }, reach = STROKE_REACH) {
  const numbers = points.split(" ").map(Number);
  const xs = numbers.filter((_, i) => i % 2 === 0);
  const ys = numbers.filter((_, i) => i % 2 === 1);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return grown({ x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y }, Math.ceil((1 + reach) * radius));
}

/**
 * @param {Rect} rect
 * @param {number} margin px on each side
 * @returns {Rect}
 */
export function grown({ x, y, w, h }, margin) {
  return { x: x - margin, y: y - margin, w: w + 2 * margin, h: h + 2 * margin };
}

/**
 * Return the part of `a` that lies in `b`.
 * @param {Rect} a
 * @param {Rect} b
 * @returns {Rect | null}
 */
export function common(a, b) {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  const [w, h] = [Math.min(a.x + a.w, b.x + b.w) - x, Math.min(a.y + a.h, b.y + b.h) - y];
  return w > 0 && h > 0 ? { x, y, w, h } : null;
}

/**
 * Return the rectangle around `boxes`, null if there are none.
 * @param {Rect[]} boxes
 * @returns {Rect | null}
 */
export function around(boxes) {
  if (!boxes.length) return null;
  const [x, y] = [Math.min(...boxes.map((box) => box.x)), Math.min(...boxes.map((box) => box.y))];
  const right = Math.max(...boxes.map((box) => box.x + box.w));
  return { x, y, w: right - x, h: Math.max(...boxes.map((box) => box.y + box.h)) - y };
}

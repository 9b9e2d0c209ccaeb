/** Pure functions of brush strokes: simplify a line, and add a stroke to a world. */

import { ownStyle, styled, withLayout } from "./layout.js";

/** @typedef {import("./api.js").World} World */
/** @typedef {import("./api.js").Stroke} Stroke */
/** @typedef {import("./layout.js").Point} Point */
/** @typedef {import("./styles.js").Choice | {name: string}} StyleChoice a style of the palette, or one of the world */
/** @typedef {{points: Point[], radius: number, hardness: number, style: StyleChoice | null}} Painted null: eraser */

export const MOST_POINTS = 2000;
export const MOST_RADIUS = 8192;

/**
 * Leave out the points that lie within `tolerance` of the line through the others (Douglas and Peucker, 1973).
 * @param {Point[]} points px
 * @param {number} tolerance px
 * @returns {Point[]}
 */
export function simplified(points, tolerance) {
  const kept = new Set([0, points.length - 1]);
  const open = [[0, points.length - 1]];
  for (let span = open.pop(); span; span = open.pop()) {
    const [first, last] = span;
    let [farthest, most] = [first, tolerance];
    for (let i = first + 1; i < last; i += 1) {
      const away = distance(points[i], points[first], points[last]);
      if (away > most) [farthest, most] = [i, away];
    }
    if (farthest === first) continue;
    kept.add(farthest);
    open.push([first, farthest], [farthest, last]);
  }
  const line = points.filter((_, i) => kept.has(i));
  return line.length > MOST_POINTS ? simplified(points, 2 * tolerance) : line;
}

/**
 * @param {Point} point
 * @param {Point} a
 * @param {Point} b
 */
function distance(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const along = length ? ((point.x - a.x) * dx + (point.y - a.y) * dy) / length : 0;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - a.x - t * dx, point.y - a.y - t * dy);
}

/**
 * Add a stroke over the pins. An eraser does nothing in a world without strokes.
 * @param {World} world
 * @param {Painted} painted
 * @returns {World}
 */
export function withStroke(world, { points, radius, hardness, style }) {
  const strokes = world.layout?.strokes ?? [];
  if (!style && !strokes.length) return world;
  const ground = world.layout ?? { schema: 1, transition: 129, styles: [ownStyle(world)] };
  const { layout, name } = style ? styled(ground, style) : { layout: ground, name: undefined };
  /** @type {Stroke} */
  const stroke = { points: lineText(points), radius, hardness, ...(name === undefined ? {} : { style: name }) };
  return withLayout(world, { ...layout, strokes: [...strokes, stroke] });
}

/**
 * Add strokes that are not part of the world yet.
 * @param {World} world
 * @param {import("./api.js").Draft} draft
 * @returns {World}
 */
export function withDraft(world, { styles, transition, strokes }) {
  const { layout } = world;
  const all = [...(layout?.strokes ?? []), ...strokes];
  return withLayout(world, { schema: 1, ...layout, styles, transition, strokes: all });
}

/**
 * Write a line as in documents.
 * @param {Point[]} points whole px
 */
export function lineText(points) {
  return points.map(({ x, y }) => `${x} ${y}`).join(" ");
}

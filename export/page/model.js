/** What `model.json` of an exported page says about its model, and what a window of it costs. */

import { cellsAround } from "./geometry.js";

/**
 * @typedef {object} Model
 * @property {string} infgen version
 * @property {{name: string, sha256: string}} model
 * @property {number} levels
 * @property {number[]} texture_channels
 * @property {number} local_channels
 * @property {number} global_channels
 * @property {number} style_rows
 * @property {import("./coordinates.js").System} coordinates
 * @property {number[]} halvings scales 1 / 2^k that the model renders directly, 0 first
 * @property {number} view_px height of a view at scale 1
 * @property {number} previews number of style previews, from seed 0 on
 */

/** @typedef {{x: number, y: number, w: number, h: number}} Rect */

const KERNEL = 7;
const STRUCTURE_LAYERS = 4;

/**
 * Estimate the floating-point operations of a window, in px of its scale.
 * @param {Model} model
 * @param {number} halvings
 * @param {Rect} rect
 */
export function flopsOf(model, halvings, rect) {
  const levels = model.levels - halvings;
  let [, rows] = cellsAround(rect.y, rect.h, levels);
  let [, columns] = cellsAround(rect.x, rect.w, levels);
  let flops = 0;
  for (let layer = 0; layer < STRUCTURE_LAYERS; layer += 1) {
    const margin = 6 * layer;
    flops += (rows + margin) * (columns + margin) * (model.local_channels + 4) * model.local_channels * KERNEL ** 2;
  }
  model.texture_channels.slice(0, 2 * levels).forEach((channels, i) => {
    const inputs = i ? model.texture_channels[i - 1] : model.local_channels;
    if (i % 2 === 0) {
      flops += rows * columns * inputs * channels * 9;
      [rows, columns] = [2 * rows - 3, 2 * columns - 3];
      flops += rows * columns * channels * 9;
    } else {
      [rows, columns] = [rows - 2, columns - 2];
      flops += rows * columns * inputs * channels * 9;
    }
  });
  return 2 * flops;
}

/**
 * The scale that renders zoom level `z`, and the side of the squares of its pixels that are averaged.
 * @param {Model} model
 * @param {number} z
 */
export function scaleOf(model, z) {
  const halvings = Math.max(...model.halvings.filter((each) => each <= -z));
  return { halvings, block: 2 ** (-z - halvings) };
}

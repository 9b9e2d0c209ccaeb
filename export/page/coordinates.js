/** Coordinate encodings of the structure synthesizer, as in `infgen/world/coordinates.py`. */

import { modulo } from "./geometry.js";

const VERTICAL_RATE = 0.3; // tanh argument per cell
const HORIZONTAL_PERIOD = 139; // cells per turn

/** @typedef {"scenery" | "texture" | "object"} System */

/**
 * The horizontal angle of a cell. Integers are reduced before any rounding, so it is exact at any distance.
 * @param {number} cell
 * @param {number | null} period in cells
 */
function angle(cell, period) {
  if (period === null) return (2 * Math.PI * modulo(cell, HORIZONTAL_PERIOD)) / HORIZONTAL_PERIOD - Math.PI;
  const turns = Math.round(period / HORIZONTAL_PERIOD);
  return (2 * Math.PI * modulo(modulo(cell, period) * turns, period)) / period - Math.PI;
}

/**
 * Encode a window of cells, (channels, H, W).
 * @param {import("./geometry.js").Window} window
 * @param {System} system
 * @param {import("./geometry.js").Periods} periods in cells; scenery, whose height does not repeat, ignores the one along y
 */
export function encode({ x, y }, system, periods) {
  const xs = Array.from({ length: x.size }, (_, i) => angle(x.start + i, periods.x));
  const rows = Array.from({ length: y.size }, (_, j) => y.start + j);
  const across = [xs.map(Math.cos), xs.map(Math.sin)];
  /** @type {Record<System, number[][]>} */
  const down = {
    scenery: [rows.map((row) => Math.tanh(VERTICAL_RATE * row))],
    texture: [Math.cos, Math.sin].map((wave) => rows.map((row) => wave(angle(row, periods.y)))),
    object: [],
  };
  if (system === "object") return new Float32Array(x.size * y.size).fill(1);
  const planes = [
    ...down[system].map((values) => values.flatMap((value) => Array(x.size).fill(value))),
    ...across.map((values) => Array(y.size).fill(values).flat()),
  ];
  return Float32Array.from(planes.flat());
}

/**
 * z_g, z_l and the noises z_n as functions of seed and lattice position, as in `infgen/world/fields.py`, and the edits of a
 * world. Arrays are row by row, channels first.
 */

import { ENDLESS, overlaps, periodsOf, positions, positionsIn } from "./geometry.js";
import { boxMuller, keyOf, philox } from "./philox.js";
import { covers } from "./strokes.js";

const [LOCAL, NOISE, GLOBAL] = [1, 2, 3]; // kinds of stream

/** @typedef {import("./geometry.js").Span} Span */
/** @typedef {import("./geometry.js").Window} Window */
/** @typedef {import("./geometry.js").Periods} Periods */
/** @typedef {number | bigint} Seed */
/** @typedef {(normals: Float32Array, group: number, row: number, column: number) => void} Take */

/**
 * Call `take` with the four normals of every group and position.
 * @param {Seed} seed
 * @param {number} stream of group 0
 * @param {number} groups
 * @param {Window} window
 * @param {{periods: Periods, take: Take}} options
 */
function fill(seed, stream, groups, { x, y }, { periods, take }) {
  const [k0, k1] = keyOf(seed);
  const [words, normals] = [new Uint32Array(4), new Float32Array(4)];
  const [xs, ys] = [positions(x, periods.x), positions(y, periods.y)];
  const [low, upper] = [xs.map((each) => each >>> 0), xs.map((each) => (Math.floor(each / 2 ** 32) & 0xffff) << 16)];
  for (let group = 0; group < groups; group += 1) {
    for (let row = 0; row < y.size; row += 1) {
      const [yLow, yHigh] = [ys[row] >>> 0, Math.floor(ys[row] / 2 ** 32) & 0xffff];
      for (let column = 0; column < x.size; column += 1) {
        philox(words, low[column], stream + group, yLow, upper[column] | yHigh, k0, k1);
        boxMuller(words, normals);
        take(normals, group, row, column);
      }
    }
  }
}

/**
 * z_l of a window of cells, (channels, H, W).
 * @param {Seed} seed
 * @param {Window} window
 * @param {number} channels
 * @param {Periods} periods in cells
 */
export function localLatent(seed, window, channels, periods = ENDLESS) {
  const [width, plane] = [window.x.size, window.x.size * window.y.size];
  const out = new Float32Array(channels * plane);
  /** @type {Take} */
  const take = (normals, group, row, column) => {
    for (let lane = 0; lane < 4 && 4 * group + lane < channels; lane += 1) {
      out[(4 * group + lane) * plane + row * width + column] = normals[lane];
    }
  };
  fill(seed, LOCAL << 28, Math.ceil(channels / 4), window, { periods, take });
  return out;
}

/**
 * z_n of texture convolution `conv` on a window of its lattice, (H, W).
 * @param {Seed} seed
 * @param {Window} window
 * @param {number} conv
 * @param {Periods} periods in lattice positions, even
 */
export function noise(seed, window, conv, periods = ENDLESS) {
  const { x, y } = window;
  const out = new Float32Array(x.size * y.size);
  const [blocksX, blocksY] = [blockSpan(x), blockSpan(y)];
  const [left, top] = [2 * blocksX.start - x.start, 2 * blocksY.start - y.start];
  /** @type {Take} */
  const take = (normals, _, row, column) => {
    for (let lane = 0; lane < 4; lane += 1) {
      const [j, i] = [top + 2 * row + (lane >> 1), left + 2 * column + (lane & 1)];
      if (j >= 0 && j < y.size && i >= 0 && i < x.size) out[j * x.size + i] = normals[lane];
    }
  };
  const blocks = { x: blocksX, y: blocksY };
  const stream = (NOISE << 28) | (conv << 16);
  const halved = { x: periods.x && periods.x / 2, y: periods.y && periods.y / 2 };
  fill(seed, stream, 1, blocks, { periods: halved, take });
  return out;
}

/**
 * The blocks of two positions that cover a span.
 * @param {Span} span
 * @returns {Span}
 */
function blockSpan({ start, size }) {
  const first = Math.floor(start / 2);
  return { start: first, size: Math.ceil((start + size) / 2) - first };
}

/**
 * z_g, (channels).
 * @param {Seed} seed
 * @param {number} channels
 */
export function globalLatent(seed, channels) {
  const out = new Float32Array(channels);
  const here = { x: { start: 0, size: 1 }, y: { start: 0, size: 1 } };
  /** @type {Take} */
  const take = (normals, group) => out.set(normals.subarray(0, Math.min(4, channels - 4 * group)), 4 * group);
  fill(seed, GLOBAL << 28, Math.ceil(channels / 4), here, { periods: ENDLESS, take });
  return out;
}

/** @typedef {import("../api.js").Rect} Rect */
/** @typedef {Rect & {seed: Seed, fields: string[]}} Redrawn */
/** @typedef {Redrawn & {mean?: number[], std?: number[], points?: string, radius?: number}} Edit `points`: see `Line` */
/**
 * @typedef {object} FieldWorld the entries of a world document that its fields depend on
 * @property {Seed} seed
 * @property {number} local_truncation
 * @property {number} [period] px along x
 * @property {number} [period_y]
 * @property {Edit[]} [edits]
 */

/**
 * z_l of a world with its edits, (channels, H, W).
 * @param {FieldWorld} world
 * @param {Window} window
 * @param {{channels: number, cellPx: number}} sizes
 */
export function worldLocal(world, window, { channels, cellPx }) {
  const periods = periodsOf(world, cellPx);
  /** @type {(seed: Seed, part: Window) => Float32Array} */
  const draw = (seed, part) => localLatent(seed, part, channels, periods);
  /** @type {(values: Float32Array) => Float32Array} */
  const truncated = (values) => values.map((value) => value * Math.fround(world.local_truncation));
  const values = truncated(draw(world.seed, window));
  redraw(values, window, {
    edits: editsOf(world, "local"),
    spacing: cellPx,
    periods,
    draw: (edit, part) => {
      const normals = draw(edit.seed, part);
      return edit.mean ? withStatistics(normals, edit) : truncated(normals);
    },
  });
  return values;
}

/**
 * z_n of a world with its edits, (H, W).
 * @param {FieldWorld} world
 * @param {Window} window
 * @param {{conv: number, spacing: number}} lattice `spacing`: px of the world between its positions
 */
export function worldNoise(world, window, { conv, spacing }) {
  const periods = periodsOf(world, spacing);
  const values = noise(world.seed, window, conv, periods);
  /** @type {(edit: Edit, part: Window) => Float32Array} */
  const draw = (edit, part) => noise(edit.seed, part, conv, periods);
  redraw(values, window, { edits: editsOf(world, "noise"), spacing, periods, draw });
  return values;
}

/**
 * @param {FieldWorld} world
 * @param {string} field
 */
function editsOf(world, field) {
  return (world.edits ?? []).filter((edit) => edit.fields.includes(field));
}

/**
 * @param {Float32Array} normals
 * @param {Edit} edit
 */
function withStatistics(normals, { mean = [], std = [] }) {
  const plane = normals.length / mean.length;
  return normals.map((value, i) => {
    const channel = Math.floor(i / plane);
    return Math.fround(value * Math.fround(std[channel])) + mean[channel];
  });
}

/**
 * Apply edits in order to `values` of a window; the last one wins.
 * @param {Float32Array} values
 * @param {Window} window
 * @param {{edits: Edit[], spacing: number, periods: Periods, draw: (edit: Edit, part: Window) => Float32Array}} options
 */
function redraw(values, window, { edits, spacing, periods, draw }) {
  for (const edit of edits) {
    for (const y of overlaps(window.y, positionsIn(edit.y, edit.h, spacing), periods.y)) {
      for (const x of overlaps(window.x, positionsIn(edit.x, edit.w, spacing), periods.x)) {
        const part = {
          x: { start: window.x.start + x.start, size: x.size },
          y: { start: window.y.start + y.start, size: y.size },
        };
        const own = {
          x: { start: part.x.start - x.moved, size: x.size },
          y: { start: part.y.start - y.moved, size: y.size },
        };
        replacePart(values, window, { part, drawn: draw(edit, part), covered: coveredBy(edit, own, spacing) });
      }
    }
  }
}

/**
 * Whether an edit changes each position of a part of its own rectangle, (H, W); null: all of them.
 * @param {{points?: string, radius?: number}} edit
 * @param {Window} part
 * @param {number} spacing px
 */
export function coveredBy({ points, radius }, { x, y }, spacing) {
  if (points === undefined || radius === undefined) return null;
  /** @type {(span: Span) => number[]} */
  const px = ({ start, size }) => Array.from({ length: size }, (_, i) => spacing * (start + i));
  return covers(points, radius, px(x), px(y));
}

/**
 * Copy the values of a part into those of a window.
 * @param {Float32Array} values
 * @param {Window} window
 * @param {{part: Window, drawn: Float32Array, covered: boolean[] | null}} change
 */
function replacePart(values, { x, y }, { part, drawn, covered }) {
  const [width, height] = [part.x.size, part.y.size];
  for (let i = 0; i < drawn.length; i += 1) {
    if (covered && !covered[i % (width * height)]) continue;
    const [channel, row, column] = [Math.floor(i / (width * height)), Math.floor(i / width) % height, i % width];
    const line = channel * y.size + part.y.start - y.start + row;
    values[line * x.size + part.x.start - x.start + column] = drawn[i];
  }
}

/**
 * Mean and standard deviation of each channel of z_l over a window of cells.
 * @param {FieldWorld} world
 * @param {Window} cells
 * @param {{channels: number, cellPx: number}} sizes
 */
export function localStatistics(world, cells, sizes) {
  const values = worldLocal(world, cells, sizes);
  const count = cells.x.size * cells.y.size;
  /** @type {{mean: number[], std: number[]}} */
  const found = { mean: [], std: [] };
  for (let channel = 0; channel < sizes.channels; channel += 1) {
    const part = values.subarray(channel * count, (channel + 1) * count);
    const mean = part.reduce((sum, value) => sum + value, 0) / count;
    const squares = part.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    found.mean.push(Math.fround(mean));
    found.std.push(Math.fround(Math.sqrt(squares / (count - 1))));
  }
  return found;
}

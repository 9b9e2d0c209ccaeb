/**
 * Weights of styles at lattice positions, as in `infgen/world/mixing.py`: a map of the nearest centre or of a painting,
 * box-filtered.
 */

import { modulo } from "./geometry.js";

const BLOCK_PX = 64; // side of the blocks that share one search for candidate centres

/** @typedef {import("./geometry.js").Span} Span */
/** @typedef {import("./geometry.js").Window} Window */
/** @typedef {import("./geometry.js").Periods} Periods */
/** @typedef {{x: number, y: number, style: number}} Centre px, and number of the style */
/** @typedef {{x: number, y: number, w: number, h: number, columns: number, rows: number, numbers: Uint8Array}} Painting */

/**
 * The style number of every position of a window, (H, W).
 * @param {{centres: Centre[], painting?: Painting}} layout
 * @param {Window} window positions that are `step` px apart
 * @param {{step: number, periods: Periods}} options `periods` in px
 */
export function labelsOf({ centres, painting }, window, { step, periods }) {
  if (painting) return paintedLabels(painting, window, { step, periods });
  if (!centres.length) return new Uint8Array(window.x.size * window.y.size);
  const labels = new Uint8Array(window.x.size * window.y.size);
  const repeated = copies(centres, periods);
  for (const y of laps(window.y, periods.y && periods.y / step)) {
    for (const x of laps(window.x, periods.x && periods.x / step)) {
      const part = nearestLabels(repeated, { x: x.span, y: y.span }, step);
      for (let row = 0; row < y.span.size; row += 1) {
        const line = part.subarray(row * x.span.size, (row + 1) * x.span.size);
        labels.set(line, (y.offset + row) * window.x.size + x.offset);
      }
    }
  }
  return labels;
}

/**
 * The centres of the first period and of its neighbours.
 * @param {Centre[]} centres
 * @param {Periods} periods
 */
function copies(centres, periods) {
  /** @type {(value: number, period: number | null) => number[]} */
  const along = (value, period) =>
    period === null ? [value] : [-period, 0, period].map((turn) => modulo(value, period) + turn);
  return centres.flatMap(({ x, y, style }) =>
    along(x, periods.x).flatMap((px) => along(y, periods.y).map((py) => ({ x: px, y: py, style }))),
  );
}

/**
 * Cut a span into parts of the first period, each with its offset from the start of the span.
 * @param {Span} span
 * @param {number | null} period
 * @returns {{span: Span, offset: number}[]}
 */
function laps(span, period) {
  if (period === null) return [{ span, offset: 0 }];
  const found = [];
  for (let offset = 0; offset < span.size; offset += found[found.length - 1].span.size) {
    const start = modulo(span.start + offset, period);
    found.push({ span: { start, size: Math.min(period - start, span.size - offset) }, offset });
  }
  return found;
}

/**
 * @param {Centre[]} centres
 * @param {Window} window
 * @param {number} step
 */
function nearestLabels(centres, { x, y }, step) {
  const labels = new Uint8Array(x.size * y.size);
  for (let top = 0; top < y.size; top += BLOCK_PX) {
    for (let left = 0; left < x.size; left += BLOCK_PX) {
      const size = { columns: Math.min(BLOCK_PX, x.size - left), rows: Math.min(BLOCK_PX, y.size - top) };
      const corner = { x: step * (x.start + left), y: step * (y.start + top) };
      fillBlock(labels.subarray(top * x.size + left), x.size, { centres, corner, size, step });
    }
  }
  return labels;
}

/**
 * @param {Uint8Array} labels from the corner of the block on
 * @param {number} stride
 * @param {object} block
 * @param {Centre[]} block.centres
 * @param {{x: number, y: number}} block.corner px
 * @param {{columns: number, rows: number}} block.size
 * @param {number} block.step px
 */
function fillBlock(labels, stride, { centres, corner, size, step }) {
  const near = candidates(centres, corner, { w: step * (size.columns - 1), h: step * (size.rows - 1) });
  const offsets = near.map((centre) => difference(centre, near[0], corner));
  for (let j = 0; j < size.rows; j += 1) {
    const line = j * stride;
    labels.fill(near[0].style, line, line + size.columns);
    for (let i = 0; near.length > 1 && i < size.columns; i += 1) {
      labels[line + i] = near[nearest(offsets, step * i, step * j)].style;
    }
  }
}

/**
 * The centres that can be nearest to a px of a block, in order.
 * @param {Centre[]} centres
 * @param {{x: number, y: number}} block upper left px
 * @param {{w: number, h: number}} size
 */
function candidates(centres, { x, y }, { w, h }) {
  if (centres.length === 1) return centres;
  const ranges = centres.map((centre) => {
    const [left, top] = [x - centre.x, y - centre.y];
    const near = Math.hypot(Math.max(left, -left - w, 0), Math.max(top, -top - h, 0));
    const farthest = [Math.max(Math.abs(left), Math.abs(left + w)), Math.max(Math.abs(top), Math.abs(top + h))];
    return { near, far: Math.hypot(...farthest) };
  });
  const least = Math.min(...ranges.map(({ far }) => far)) * (1 + 1e-12);
  return centres.filter((_, i) => ranges[i].near <= least);
}

/**
 * |p - c|^2 - |p - first|^2 as a linear function of p - block: exact where the squares themselves would overflow.
 * @param {Centre} centre
 * @param {Centre} first
 * @param {{x: number, y: number}} block
 * @returns {[number, number, number]} constant, and slopes along x and y
 */
function difference(centre, first, block) {
  /** @type {(c: Centre) => bigint} */
  const square = (c) => BigInt(c.x - block.x) ** 2n + BigInt(c.y - block.y) ** 2n;
  return [Number(square(centre) - square(first)), -2 * (centre.x - first.x), -2 * (centre.y - first.y)];
}

/**
 * @param {[number, number, number][]} offsets
 * @param {number} x
 * @param {number} y
 */
function nearest(offsets, x, y) {
  let [best, found] = [0, 0];
  for (let i = 1; i < offsets.length; i += 1) {
    const value = offsets[i][0] + offsets[i][1] * x + offsets[i][2] * y;
    if (value < best) [best, found] = [value, i];
  }
  return found;
}

/**
 * @param {Painting} painting
 * @param {Window} window
 * @param {{step: number, periods: Periods}} options
 */
function paintedLabels(painting, { x, y }, { step, periods }) {
  const across = samples(x, step, { start: painting.x, size: painting.w, count: painting.columns, period: periods.x });
  const down = samples(y, step, { start: painting.y, size: painting.h, count: painting.rows, period: periods.y });
  const labels = new Uint8Array(x.size * y.size);
  down.forEach((row, j) => {
    across.forEach((column, i) => (labels[j * x.size + i] = painting.numbers[row * painting.columns + column]));
  });
  return labels;
}

/**
 * The index of the sample at each position of a span, where `count` samples cover `size` px from `start`.
 * @param {Span} span
 * @param {number} step
 * @param {{start: number, size: number, count: number, period: number | null}} samples
 */
function samples(span, step, { start, size, count, period }) {
  return Array.from({ length: span.size }, (_, i) => {
    let offset = step * (span.start + i) - start;
    if (period !== null) {
      offset = modulo(offset, period);
      if (offset >= size && period - offset < offset - (size - 1)) offset = 0; // the next copy is nearer
    }
    return Math.floor((Math.min(Math.max(offset, 0), size - 1) * count) / size);
  });
}

/** Summed-area tables of style counts in a window: the sum over any square takes four reads. */
export class StyleCounts {
  #window;
  #sums;

  /**
   * @param {Uint8Array} labels (H, W)
   * @param {Window} window
   * @param {number[]} styles every number that occurs; the last is the remainder of each square
   */
  constructor(labels, window, styles) {
    this.#window = window;
    this.#sums = styles.slice(0, -1).map((style) => summed(labels, window, style));
  }

  /**
   * Weights (K, H, W) at lattice positions that are `spacing` px apart; they sum to 1.
   * @param {Span} x
   * @param {Span} y
   * @param {{spacing: number, transition: number}} options `transition`: odd side in px of the averaged square
   */
  weights(x, y, { spacing, transition }) {
    const [plane, stride, reach] = [x.size * y.size, this.#window.x.size + 1, (transition - 1) / 2];
    const out = new Float32Array((this.#sums.length + 1) * plane);
    const left = spacing * x.start - this.#window.x.start - reach;
    const top = spacing * y.start - this.#window.y.start - reach;
    for (let position = 0; position < plane; position += 1) {
      const a = left + spacing * (position % x.size);
      const c = (top + spacing * Math.floor(position / x.size)) * stride;
      const [b, d] = [a + transition, c + transition * stride];
      let rest = transition ** 2;
      this.#sums.forEach((sums, k) => {
        const inside = sums[d + b] - sums[c + b] - sums[d + a] + sums[c + a];
        out[k * plane + position] = inside / transition ** 2;
        rest -= inside;
      });
      out[this.#sums.length * plane + position] = rest / transition ** 2;
    }
    return out;
  }
}

/**
 * The summed-area table (H + 1, W + 1) of one style.
 * @param {Uint8Array} labels
 * @param {Window} window
 * @param {number} style
 */
function summed(labels, { x, y }, style) {
  const stride = x.size + 1;
  const sums = new Int32Array(stride * (y.size + 1));
  for (let row = 0; row < y.size; row += 1) {
    let count = 0;
    for (let column = 0; column < x.size; column += 1) {
      if (labels[row * x.size + column] === style) count += 1;
      const at = (row + 1) * stride + column + 1;
      sums[at] = sums[at - stride] + count;
    }
  }
  return sums;
}

/**
 * The window of pixels that `StyleCounts.weights` reads for these positions.
 * @param {Span} x
 * @param {Span} y
 * @param {{spacing: number, transition: number}} options
 * @returns {Window}
 */
export function covering(x, y, { spacing, transition }) {
  /** @type {(span: Span) => Span} */
  const around = ({ start, size }) => ({
    start: start * spacing - (transition - 1) / 2,
    size: (size - 1) * spacing + transition,
  });
  return { x: around(x), y: around(y) };
}

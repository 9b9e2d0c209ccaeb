/** Integer algebra of the network without padding, as in `infgen/geometry.py`. Doubles hold every position exactly. */

export const STRUCTURE_HALO = 12;

/** @typedef {{start: number, size: number}} Span */
/** @typedef {{x: Span, y: Span}} Window */
/** @typedef {{x: number | null, y: number | null}} Periods positions after which a world repeats along each axis */
/** @typedef {{local: Span, structure: Span, noise: Span[], pixels: Span}} LayerSpans */

/**
 * The spans of every layer along one axis, for `cells` cells of z_S from `cell` on.
 * @param {number} cell
 * @param {number} cells
 * @param {number} levels
 * @returns {LayerSpans}
 */
export function layerSpans(cell, cells, levels) {
  /** @type {Span[]} */
  const noise = [];
  let span = { start: cell, size: cells };
  for (let level = 0; level < levels; level += 1) {
    const up = { start: 2 * span.start + 1, size: 2 * span.size - 3 };
    span = { start: up.start + 1, size: up.size - 2 };
    noise.push(up, span);
  }
  const local = { start: cell - STRUCTURE_HALO, size: cells + 2 * STRUCTURE_HALO };
  return { local, structure: { start: cell, size: cells }, noise, pixels: span };
}

/**
 * The fewest cells whose window holds `size` px from `start` on: [first cell, cells].
 * @param {number} start
 * @param {number} size
 * @param {number} levels
 * @returns {[number, number]}
 */
export function cellsAround(start, size, levels) {
  const side = 2 ** levels;
  const first = Math.floor((start - 2 * (side - 1)) / side);
  const before = start - (side * first + 2 * (side - 1));
  return [first, Math.max(6, Math.ceil((before + size + 5 * (side - 1)) / side))];
}

/**
 * The lattice positions whose pixel lies in the `size` px from `px` on; may be empty.
 * @param {number} px
 * @param {number} size
 * @param {number} spacing
 * @returns {Span}
 */
export function positionsIn(px, size, spacing) {
  const start = Math.ceil(px / spacing);
  return { start, size: Math.ceil((px + size) / spacing) - start };
}

/**
 * The overlaps of `block` with `window`, once or once per period, as spans counted from the start of the window.
 * @param {Span} window
 * @param {Span} block
 * @param {number | null} period
 * @returns {(Span & {moved: number})[]} `moved`: how far this copy of the block is from the block itself
 */
export function overlaps(window, block, period) {
  const stop = block.start + block.size;
  const first = period === null ? 0 : Math.floor((window.start - stop) / period) + 1;
  const last = period === null ? 0 : Math.floor((window.start + window.size - 1 - block.start) / period);
  const found = [];
  for (let copy = first; copy <= last; copy += 1) {
    const shifted = block.start + copy * (period ?? 0);
    const [from, to] = [Math.max(window.start, shifted), Math.min(window.start + window.size, shifted + block.size)];
    if (from < to) found.push({ start: from - window.start, size: to - from, moved: shifted - block.start });
  }
  return found;
}

/**
 * The remainder of a division, never negative.
 * @param {number} value
 * @param {number} divisor
 */
export function modulo(value, divisor) {
  return ((value % divisor) + divisor) % divisor;
}

/** @type {Periods} */
export const ENDLESS = { x: null, y: null };

/**
 * The periods of a world on a lattice of `spacing` px.
 * @param {{period?: number, period_y?: number}} world
 * @param {number} spacing
 * @returns {Periods}
 */
export function periodsOf({ period, period_y: down }, spacing) {
  return { x: period === undefined ? null : period / spacing, y: down === undefined ? null : down / spacing };
}

/**
 * The positions of a span, within the first period.
 * @param {Span} span
 * @param {number | null} period
 */
export function positions({ start, size }, period) {
  return Array.from({ length: size }, (_, i) => (period === null ? start + i : modulo(start + i, period)));
}

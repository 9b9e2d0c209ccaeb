/** Brush strokes over a style map, as in `infgen/world/strokes.py`. */

const HIDDEN = 2 ** -40; // a share below this counts as 0

/** @typedef {{points: string, radius: number, hardness?: number, style?: string}} Stroke `points`: "x y x y ..." in px */
/** @typedef {[number, number]} Point */
/** @typedef {{line: Point[], radius: number, hardness: number, style: number | null}} Painted `style` null: an eraser */
/** @typedef {Painted & {copies: Point[][]}} Reaching `copies`: the line wherever it is seen in a world with a period */

/**
 * @param {Stroke} stroke
 * @param {Map<string, number>} numbers of styles by name
 * @returns {Painted}
 */
export function parseStroke({ points, radius, hardness = 0.5, style }, numbers) {
  const number = style === undefined ? null : (numbers.get(style) ?? null);
  return { line: parsePoints(points), radius, hardness, style: number };
}

/**
 * @param {string} points
 * @returns {Point[]}
 */
function parsePoints(points) {
  const values = points.split(" ").map(Number);
  return Array.from({ length: values.length / 2 }, (_, i) => [values[2 * i], values[2 * i + 1]]);
}

/**
 * Whether positions lie within `radius` px of a line, (H, W).
 * @param {string} points
 * @param {number} radius
 * @param {number[]} xs px
 * @param {number[]} ys
 */
export function covers(points, radius, xs, ys) {
  return Array.from(distances([parsePoints(points)], radius, xs, ys), (square) => square <= radius * radius);
}

/**
 * The strokes that can reach a px between `left` and `right`, `top` and `bottom`.
 * @param {Painted[]} strokes
 * @param {{left: number, right: number, top: number, bottom: number}} px both ends included
 * @param {import("./geometry.js").Periods} periods in px
 * @returns {Reaching[]} in order
 */
export function strokesReaching(strokes, { left, right, top, bottom }, periods) {
  return strokes.flatMap((stroke) => {
    const [xs, ys] = [stroke.line.map(([x]) => x), stroke.line.map(([, y]) => y)];
    const turns = turnsOf(xs, { radius: stroke.radius, first: left, last: right }, periods.x);
    const laps = turnsOf(ys, { radius: stroke.radius, first: top, last: bottom }, periods.y);
    /** @type {(turn: number, lap: number) => Point[]} */
    const moved = (turn, lap) => stroke.line.map(([x, y]) => [x + turn, y + lap]);
    const copies = turns.flatMap((turn) => laps.map((lap) => moved(turn, lap)));
    return copies.length ? [{ ...stroke, copies }] : [];
  });
}

/**
 * The multiples of a period by which a line can be moved to reach a px from `first` to `last`; only 0 without a period.
 * @param {number[]} line along one axis
 * @param {{radius: number, first: number, last: number}} reach
 * @param {number | null} period
 */
function turnsOf(line, { radius, first, last }, period) {
  const [left, right] = [first - Math.max(...line) - radius, last - Math.min(...line) + radius];
  if (period === null) return left <= 0 && right >= 0 ? [0] : [];
  const lowest = Math.ceil(left / period);
  return Array.from({ length: Math.max(0, Math.floor(right / period) - lowest + 1) }, (_, i) => (lowest + i) * period);
}

/**
 * Paint strokes over `weights` (K, H, W), in place.
 * @param {Float32Array} weights
 * @param {Reaching[]} strokes in order
 * @param {{xs: number[], ys: number[], rows: Map<number, number>}} grid px of columns and rows; row of each style number
 */
export function paint(weights, strokes, { xs, ys, rows }) {
  const plane = xs.length * ys.length;
  const [free, kept] = [new Float64Array(plane).fill(1), new Float64Array(plane)];
  const painted = Array.from({ length: rows.size }, () => new Float64Array(plane));
  for (const stroke of [...strokes].reverse()) {
    const share = stroke.style === null ? kept : painted[/** @type {number} */ (rows.get(stroke.style))];
    cover(stroke, distances(stroke.copies, stroke.radius, xs, ys), { share, free });
  }
  for (let i = 0; i < weights.length; i += 1) {
    const position = i % plane;
    weights[i] = weights[i] * (kept[position] + free[position]) + painted[Math.floor(i / plane)][position];
  }
}

/**
 * Add what a stroke covers to its share, and take it from what is free.
 * @param {Painted} stroke
 * @param {Float64Array} squares squared distances
 * @param {{share: Float64Array, free: Float64Array}} planes
 */
function cover({ radius, hardness }, squares, { share, free }) {
  for (let i = 0; i < squares.length; i += 1) {
    if (squares[i] > radius ** 2) continue;
    const opacity = opacityOf(squares[i], radius, hardness);
    share[i] += free[i] * opacity;
    free[i] *= 1 - opacity;
    if (free[i] < HIDDEN) free[i] = 0;
  }
}

/**
 * Squared distances (H, W) to the nearest line, Infinity beyond the radius.
 * @param {Point[][]} lines
 * @param {number} radius
 * @param {number[]} xs
 * @param {number[]} ys
 */
function distances(lines, radius, xs, ys) {
  const squares = new Float64Array(xs.length * ys.length).fill(Infinity);
  for (const line of lines) {
    const segments = line.length > 1 ? line.slice(1).map((end, i) => [line[i], end]) : [[line[0], line[0]]];
    for (const [[x0, y0], [x1, y1]] of segments) {
      const columns = between(xs, Math.min(x0, x1) - radius, Math.max(x0, x1) + radius);
      const rows = between(ys, Math.min(y0, y1) - radius, Math.max(y0, y1) + radius);
      const width = columns[1] - columns[0];
      for (let cell = 0; cell < width * (rows[1] - rows[0]); cell += 1) {
        const [i, j] = [columns[0] + (cell % width), rows[0] + Math.floor(cell / width)];
        const at = j * xs.length + i;
        squares[at] = Math.min(squares[at], square(xs[i] - x0, ys[j] - y0, x1 - x0, y1 - y0));
      }
    }
  }
  return squares;
}

/**
 * The squared distance of (x, y) to the segment from the origin to (dx, dy).
 * @param {number} x
 * @param {number} y
 * @param {number} dx
 * @param {number} dy
 */
function square(x, y, dx, dy) {
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, x * (dx / length) + y * (dy / length))) : 0;
  return (x - along * dx) ** 2 + (y - along * dy) ** 2;
}

/**
 * @param {number} squared
 * @param {number} radius
 * @param {number} hardness
 */
function opacityOf(squared, radius, hardness) {
  const soft = radius * (1 - hardness);
  if (!soft) return 1;
  const rise = Math.min(1, Math.max(0, (radius - Math.sqrt(squared)) / soft));
  return rise * rise * (3 - 2 * rise);
}

/**
 * The indices of ascending positions from `low` to `high`, both included: [first, end].
 * @param {number[]} positions
 * @param {number} low
 * @param {number} high
 */
function between(positions, low, high) {
  const step = positions.length > 1 ? positions[1] - positions[0] : 1;
  const first = Math.max(0, Math.ceil((low - positions[0]) / step));
  return [first, Math.max(first, Math.min(positions.length, Math.floor((high - positions[0]) / step) + 1))];
}

/** Render windows of a world: inputs of the network, one run, pixels. As in `infgen/rendering/tile_inputs.py`. */

import { encode } from "./coordinates.js";
import { worldLocal, worldNoise } from "./fields.js";
import { cellsAround, layerSpans, periodsOf } from "./geometry.js";
import { covering, labelsOf, StyleCounts } from "./mixing.js";
import { paint, parseStroke, strokesReaching } from "./strokes.js";
import { stylesOf } from "./styles.js";

/** @typedef {import("./document.js").CompleteWorld} World */
/** @typedef {import("./geometry.js").LayerSpans} LayerSpans */
/** @typedef {import("./geometry.js").Span} Span */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Rect} Rect */
/** @typedef {{x: LayerSpans, y: LayerSpans, levels: number, halvings: number}} Frame */
/** @typedef {{numbers: number[], maps: Float32Array[] | null}} Mix styles, and their weights on every lattice */

const KEPT_WORLDS = 8;

export class Artist {
  #model;
  #network;
  /** @type {Map<string, Promise<{styles: import("./styles.js").Style[], layout: PreparedLayout | null}>>} */
  #prepared = new Map();

  /**
   * @param {Model} model
   * @param {import("./network.js").Network} network
   */
  constructor(model, network) {
    this.#model = model;
    this.#network = network;
  }

  /**
   * Render a window, as RGBA.
   * @param {World} world
   * @param {string} revision names the document
   * @param {{halvings: number, rect: Rect}} window px of the scale
   * @returns {Promise<{pixels: Uint8ClampedArray<ArrayBuffer>, seconds: number}>} `seconds`: of the network
   */
  async render(world, revision, { halvings, rect }) {
    const { styles, layout } = await this.#prepare(world, revision);
    const levels = this.#model.levels - halvings;
    /** @type {(start: number, size: number) => LayerSpans} */
    const spans = (start, size) => layerSpans(...cellsAround(start, size, levels), levels);
    const frame = { x: spans(rect.x, rect.w), y: spans(rect.y, rect.h), levels, halvings };
    const mix = layout ? layout.mix(frame) : { numbers: [0], maps: null };
    const graph = `${mix.maps ? "mixed" : "one"}-${halvings}.onnx`;
    const feeds = { ...this.#fields(world, frame), ...styleFeeds(mix, styles, frame) };
    await this.#network.load(graph);
    const begun = performance.now();
    const { rgb } = await this.#network.run(graph, feeds);
    const seconds = (performance.now() - begun) / 1000;
    return { pixels: toPixels(rgb.data, frame, rect), seconds };
  }

  /**
   * @param {World} world
   * @param {string} revision
   */
  #prepare(world, revision) {
    const found = this.#prepared.get(revision) ?? this.#make(world);
    this.#prepared.delete(revision);
    this.#prepared.set(revision, found);
    const [oldest] = this.#prepared.keys();
    if (this.#prepared.size > KEPT_WORLDS) this.#prepared.delete(oldest);
    found.catch(() => this.#prepared.delete(revision));
    return found;
  }

  /** @param {World} world */
  async #make(world) {
    const { global_channels: globalChannels, style_rows: styleRows } = this.#model;
    /** @type {import("./styles.js").MapStyle} */
    const map = async (z, truncation) => {
      const feeds = { z_g: tensor(z, 1, globalChannels), truncation: tensor(Float32Array.of(truncation), 1, 1) };
      const found = await this.#network.run("styles.onnx", feeds);
      return { z: found.z.data.slice(), w: found.w.data.slice() };
    };
    const styles = await stylesOf(world, map, { globalChannels, styleRows });
    return { styles, layout: world.layout && styles.length > 1 ? await PreparedLayout.of(world) : null };
  }

  /**
   * @param {World} world
   * @param {Frame} frame
   */
  #fields(world, { x, y, levels, halvings }) {
    const { local_channels: channels, coordinates } = this.#model;
    const cellPx = 2 ** this.#model.levels;
    const cells = { x: x.local, y: y.local };
    const encoded = encode(cells, coordinates, periodsOf(world, cellPx));
    const size = [cells.y.size, cells.x.size];
    const feeds = {
      z_l: tensor(worldLocal(world, cells, { channels, cellPx }), 1, channels, ...size),
      coordinates: tensor(encoded, 1, encoded.length / (size[0] * size[1]), ...size),
      noise_strength: tensor(Float32Array.of(world.noise)),
    };
    const noises = x.noise.map((across, conv) => {
      const window = { x: across, y: y.noise[conv] };
      const spacing = 2 ** (halvings + levels - Math.floor(conv / 2) - 1);
      const values = worldNoise(world, window, { conv, spacing });
      return [`noise_${conv}`, tensor(values, 1, 1, window.y.size, window.x.size)];
    });
    return { ...feeds, ...Object.fromEntries(noises) };
  }
}

/** The layout of a world, with its painting decoded. */
export class PreparedLayout {
  #layout;
  #transition;
  #periods;

  /**
   * @param {import("./document.js").Layout} layout
   * @param {import("./geometry.js").Periods} periods px
   * @param {import("./mixing.js").Painting} [painting]
   */
  constructor(layout, periods, painting) {
    const numbers = new Map(layout.styles.map(({ name }, i) => [name, i]));
    /** @type {(name: string) => number} */
    const numberOf = (name) => numbers.get(name) ?? 0;
    const centres = (layout.centres ?? []).map(({ style, x, y }) => ({ x, y, style: numberOf(style) }));
    const strokes = (layout.strokes ?? []).map((stroke) => parseStroke(stroke, numbers));
    this.#layout = { centres, painting, strokes };
    this.#transition = layout.transition;
    this.#periods = periods;
  }

  /** @param {World} world with a layout */
  static async of(world) {
    const layout = /** @type {import("./document.js").Layout} */ (world.layout);
    const painting = layout.painting ? await decodePainting(layout.painting) : undefined;
    return new PreparedLayout(layout, periodsOf(world, 1), painting);
  }

  /**
   * The styles that reach a window, and their weights on the lattice of every layer.
   * @param {Frame} frame
   * @returns {Mix}
   */
  mix({ x, y, levels, halvings }) {
    const step = 2 ** halvings;
    const transition = Math.max(1, Math.floor(this.#transition / step)) | 1;
    const window = covering(x.local, y.local, { spacing: 2 ** levels, transition });
    const labels = labelsOf(this.#layout, window, { step, periods: this.#periods });
    const strokes = this.#strokesAround(x.local, y.local, 2 ** (levels + halvings));
    const painted = strokes.flatMap(({ style }) => (style === null ? [] : [style]));
    const numbers = [...new Set([...occurring(labels), ...painted])].sort((a, b) => a - b);
    if (numbers.length === 1) return { numbers, maps: null };
    const counts = new StyleCounts(labels, window, numbers);
    const rows = new Map(numbers.map((number, row) => [number, row]));
    /** @type {(level: number, across: Span, down: Span) => Float32Array} */
    const at = (level, across, down) => {
      const spacing = 2 ** (levels - level);
      const weights = counts.weights(across, down, { spacing, transition });
      const [xs, ys] = [px(across, spacing * step), px(down, spacing * step)];
      if (strokes.length) paint(weights, strokes, { xs, ys, rows });
      return weights;
    };
    const maps = [at(0, x.local, y.local), at(0, x.structure, y.structure)];
    for (let conv = 1; conv < 2 * levels; conv += 1) {
      const before = conv - 1; // the input of a convolution is the output of the one before
      maps.push(at(Math.floor(before / 2) + 1, x.noise[before], y.noise[before]));
    }
    return { numbers, maps };
  }

  /**
   * @param {Span} x cells
   * @param {Span} y
   * @param {number} cellPx
   */
  #strokesAround(x, y, cellPx) {
    const [left, top] = [x.start * cellPx, y.start * cellPx];
    const [right, bottom] = [left + (x.size - 1) * cellPx, top + (y.size - 1) * cellPx];
    return strokesReaching(this.#layout.strokes, { left, right, top, bottom }, this.#periods);
  }
}

/**
 * @param {Span} span
 * @param {number} step px
 */
const px = ({ start, size }, step) => Array.from({ length: size }, (_, i) => step * (start + i));

/** @param {Uint8Array} labels */
function occurring(labels) {
  const seen = new Uint8Array(256);
  for (const label of labels) seen[label] = 1;
  return [...seen.keys()].filter((label) => seen[label]);
}

/**
 * @param {any} painting of a document: numbers of styles in a grey PNG
 * @returns {Promise<import("./mixing.js").Painting>}
 */
async function decodePainting({ x, y, w, h, png }) {
  const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const exact = /** @type {const} */ ({ colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }), exact);
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  if (!context) throw new Error("This browser cannot read the painting of this world.");
  context.drawImage(picture, 0, 0);
  const { data, width: columns, height: rows } = context.getImageData(0, 0, picture.width, picture.height);
  return { x, y, w, h, columns, rows, numbers: Uint8Array.from({ length: columns * rows }, (_, i) => data[4 * i]) };
}

/**
 * @param {Mix} mix
 * @param {import("./styles.js").Style[]} styles
 * @param {Frame} frame
 */
function styleFeeds({ numbers, maps }, styles, { x, y }) {
  const chosen = numbers.map((number) => styles[number]);
  const [count, dim, rows] = [chosen.length, chosen[0].z.length, chosen[0].rows.length];
  const feeds = {
    z_g: tensor(joined(chosen.map(({ z }) => z)), count, dim),
    w_plus: tensor(joined(chosen.flatMap(({ rows: each }) => each)), count, rows, dim),
  };
  if (!maps) return feeds;
  const spans = [[x.local, y.local], [x.structure, y.structure], ...x.noise.map((span, i) => [span, y.noise[i]])];
  const weights = maps.map((map, i) => {
    const [across, down] = spans[i];
    return [i ? `weights_${i - 1}` : "weights_structure", tensor(map, 1, count, down.size, across.size)];
  });
  return { ...feeds, ...Object.fromEntries(weights), ...pairs(count) };
}

/**
 * All pairs k <= l of styles. Those with k < l count twice.
 * @param {number} count
 */
function pairs(count) {
  const all = Array.from({ length: count }, (_, k) => Array.from({ length: count - k }, (__, i) => [k, k + i])).flat();
  return {
    first: tensor(BigInt64Array.from(all, ([k]) => BigInt(k)), all.length),
    second: tensor(BigInt64Array.from(all, ([, l]) => BigInt(l)), all.length),
    times: tensor(Float32Array.from(all, ([k, l]) => (k === l ? 1 : 2)), all.length, 1),
  };
}

/**
 * @template {Float32Array | BigInt64Array} T
 * @param {T} data
 * @param {...number} dims
 */
function tensor(data, ...dims) {
  return { data, dims };
}

/** @param {Float32Array[]} parts of equal length */
function joined(parts) {
  const out = new Float32Array(parts.length * parts[0].length);
  parts.forEach((part, i) => out.set(part, i * part.length));
  return out;
}

/**
 * Cut a rectangle out of RGB in [-1, 1] and convert it to RGBA: clip, then round (x + 1) * 127.5.
 * @param {Float32Array} rgb (3, H, W)
 * @param {Frame} frame
 * @param {Rect} rect
 */
function toPixels(rgb, { x, y }, rect) {
  const [width, plane] = [x.pixels.size, x.pixels.size * y.pixels.size];
  const pixels = new Uint8ClampedArray(4 * rect.w * rect.h).fill(255);
  for (let row = 0; row < rect.h; row += 1) {
    let from = (rect.y - y.pixels.start + row) * width + rect.x - x.pixels.start;
    for (let to = 4 * row * rect.w; to < 4 * (row + 1) * rect.w; to += 4, from += 1) {
      pixels[to] = (rgb[from] + 1) * 127.5;
      pixels[to + 1] = (rgb[plane + from] + 1) * 127.5;
      pixels[to + 2] = (rgb[2 * plane + from] + 1) * 127.5;
    }
  }
  return pixels;
}


/** The worker that renders windows: WebGPU if there is one, else WebAssembly with SIMD, with threads in isolated pages. */

import { Artist } from "./artist.js";
import { localStatistics } from "./fields.js";
import { Network } from "./network.js";

const MOST_THREADS = 8;

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Rect} Rect */
/** @typedef {import("./document.js").CompleteWorld} World */
/**
 * @typedef {object} Open
 * @property {"open"} kind
 * @property {Model} model
 * @property {string} base address of the page
 * @property {Backend} backend
 * @property {ArrayBuffer} binary the runtime's WebAssembly
 */
/** @typedef {"webgpu" | "wasm"} Backend */
/**
 * @typedef {object} WindowRequest
 * @property {"window"} kind
 * @property {World} world
 * @property {string} revision
 * @property {number} halvings
 * @property {Rect} rect px of the scale
 * @property {number} block side of the squares that are averaged
 * @property {Rect[] | null} parts of the averaged window, returned as pictures; null: all its pixels, RGBA
 */
/** @typedef {{kind: "statistics", world: World, cells: import("./geometry.js").Window}} StatisticsRequest */

/** @type {Artist} */
let artist;
/** @type {Model} */
let model;

/** @param {Open} request */
async function open({ model: opened, base, backend, binary }) {
  model = opened;
  const ort = await import(new URL(`ort/${backend}.js`, base).href);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmPaths = { mjs: new URL(`ort/${backend}-module.js`, base).href };
  ort.env.wasm.wasmBinary = binary;
  artist = new Artist(model, new Network(ort, new URL("model/", base).href, backend));
  return {};
}

/** @param {WindowRequest} request */
async function render({ world, revision, halvings, rect, block, parts }) {
  const { pixels, seconds } = await artist.render(world, revision, { halvings, rect });
  const mean = averaged(pixels, rect, block);
  if (!parts) return { pixels: mean.data, seconds };
  const pictures = await Promise.all(parts.map(({ x, y, w, h }) => createImageBitmap(mean, x, y, w, h)));
  return { pictures, seconds };
}

/**
 * Average squares of `block` x `block` pixels.
 * @param {Uint8ClampedArray<ArrayBuffer>} pixels RGBA
 * @param {Rect} rect
 * @param {number} block
 */
function averaged(pixels, { w, h }, block) {
  if (block === 1) return new ImageData(pixels, w, h);
  const [width, height] = [w / block, h / block];
  const out = new ImageData(width, height);
  for (let i = 0; i < out.data.length; i += 1) {
    const [channel, column, row] = [i % 4, (i >> 2) % width, Math.floor((i >> 2) / width)];
    let sum = 0;
    for (let j = 0; j < block * block; j += 1) {
      const [x, y] = [column * block + (j % block), row * block + Math.floor(j / block)];
      sum += pixels[4 * (y * w + x) + channel];
    }
    out.data[i] = sum / block ** 2;
  }
  return out;
}

/** @param {StatisticsRequest} request */
function statistics({ world, cells }) {
  return localStatistics(world, cells, { channels: model.local_channels, cellPx: 2 ** model.levels });
}

/** @param {Open | WindowRequest | StatisticsRequest} request */
function answer(request) {
  if (request.kind === "open") return open(request);
  return request.kind === "window" ? render(request) : statistics(request);
}

self.addEventListener("message", async ({ data: { id, ...request } }) => {
  try {
    const result = /** @type {any} */ (await answer(request));
    const moved = [...(result.pictures ?? []), ...(result.pixels ? [result.pixels.buffer] : [])];
    self.postMessage({ id, result }, { transfer: moved });
  } catch (error) {
    self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});

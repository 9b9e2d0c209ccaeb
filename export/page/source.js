/**
 * Tiles of the canvas from the workers. Neighbouring tiles that wait are rendered in one window, as large as the device
 * renders in under a second: its speed is measured from the first window on.
 */

import { flopsOf, scaleOf } from "./model.js";

const WINDOW_S = 0.8;
const FIRST_FLOPS_PER_S = 3e9; // before the first window is measured
const LONGEST_PX = 1024; // side of a window: limits memory
const KEPT_TILES = 300;
const USUAL_PX = 256;
const LEAST_PX = 32;
const TILE_FLOPS = 4e9; // a tile of more is split: it would take too long to see the first one

/** @typedef {import("../api.js").TileAddress} TileAddress */
/** @typedef {import("./model.js").Rect} Rect */
/** @typedef {import("./document.js").CompleteWorld} World */
/** @typedef {() => [number, number]} Urgency */
/**
 * @typedef {object} Task
 * @property {TileAddress | null} tile null: a window of its own
 * @property {string} key
 * @property {Urgency} urgency
 * @property {AbortSignal} signal
 * @property {(result: any) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {object} [request]
 */

/**
 * The largest tile of a zoom level that is cheap enough.
 * @param {import("./model.js").Model} model
 * @param {number} z
 */
export function tilePx(model, z) {
  const { halvings, block } = scaleOf(model, z);
  let px = USUAL_PX;
  while (px > LEAST_PX && flopsOf(model, halvings, { x: 0, y: 0, w: px * block, h: px * block }) > TILE_FLOPS) px /= 2;
  return px;
}

export class TileSource {
  #pool;
  #model;
  #worldOf;
  #speed = FIRST_FLOPS_PER_S;
  #measured = false;
  /** @type {Set<Task>} */
  #waiting = new Set();
  /** @type {Map<string, ImageBitmap>} the last one is the most recent */
  #kept = new Map();

  /**
   * @param {import("./pool.js").Pool} pool
   * @param {import("./model.js").Model} model
   * @param {(id: string, revision: string) => World} worldOf
   */
  constructor(pool, model, worldOf) {
    this.#pool = pool;
    this.#model = model;
    this.#worldOf = worldOf;
    pool.addEventListener("free", () => this.#pump());
  }

  /**
   * Render a tile, or take it from the cache.
   * @param {TileAddress} tile
   * @param {{signal: AbortSignal, urgency: Urgency}} options
   * @returns {Promise<ImageBitmap>}
   */
  async tile(tile, { signal, urgency }) {
    const key = keyOf(tile);
    const kept = this.#kept.get(key);
    if (kept) {
      this.#keep(key, kept);
      return createImageBitmap(kept);
    }
    const picture = await this.#add({ tile, key, urgency, signal });
    return createImageBitmap(picture);
  }

  /**
   * Ask a worker for something else: a window of its own, or statistics.
   * @param {object} request
   * @param {{signal?: AbortSignal, urgency: Urgency}} options
   * @returns {Promise<any>}
   */
  ask(request, { signal = new AbortController().signal, urgency }) {
    return this.#add({ tile: null, key: "", urgency, signal, request });
  }

  /** @param {Omit<Task, "resolve" | "reject">} task */
  #add(task) {
    return new Promise((resolve, reject) => {
      const added = { ...task, resolve, reject };
      this.#waiting.add(added);
      task.signal.addEventListener("abort", () => {
        this.#waiting.delete(added);
        reject(new DOMException("The tile left the view.", "AbortError"));
      });
      queueMicrotask(() => this.#pump()); // the whole view waits before the first window is chosen
    });
  }

  #pump() {
    while (this.#pool.free && this.#waiting.size) {
      const [first] = [...this.#waiting].map((task) => ({ task, urgency: task.urgency() })).sort(earlier);
      if (first.task.tile) void this.#window(first.task.tile);
      else void this.#alone(first.task);
    }
  }

  /** @param {Task} task */
  async #alone(task) {
    this.#waiting.delete(task);
    await this.#pool.ask(/** @type {object} */ (task.request)).then(task.resolve, task.reject);
  }

  /**
   * Render the waiting tiles around `tile` in one window.
   * @param {TileAddress} tile
   */
  async #window(tile) {
    const tasks = this.#neighbours(tile);
    const box = this.#grow(tile, tasks);
    const inside = [...tasks.values()].filter(({ tile: each }) => each && contains(box, each));
    for (const each of inside) this.#waiting.delete(each);
    try {
      const { halvings, block } = scaleOf(this.#model, tile.z);
      const rect = rectOf(box, tile, block);
      const { px } = tile;
      const parts = inside.map(({ tile: each }) => {
        const [x, y] = each ? [each.x - box.left, each.y - box.top] : [0, 0];
        return { x: x * px, y: y * px, w: px, h: px };
      });
      const { id, revision } = tile.world;
      const request = { kind: "window", world: this.#worldOf(id, revision), revision, halvings, rect, block, parts };
      const { pictures, seconds } = await this.#pool.ask(request);
      this.#measure(flopsOf(this.#model, halvings, rect) / seconds);
      inside.forEach((each, i) => {
        this.#keep(each.key, pictures[i]);
        each.resolve(pictures[i]);
      });
    } catch (error) {
      for (const each of inside) each.reject(/** @type {Error} */ (error));
    }
  }

  /**
   * The waiting tiles of the same picture, by column and row.
   * @param {TileAddress} tile
   */
  #neighbours({ world, z, px }) {
    /** @type {Map<string, Task>} */
    const found = new Map();
    for (const task of this.#waiting) {
      const each = task.tile;
      const same = each && each.world.revision === world.revision && each.z === z && each.px === px;
      if (same) found.set(`${each.x}/${each.y}`, task);
    }
    return found;
  }

  /**
   * Grow a rectangle of tiles, side by side, while it can be rendered in time.
   * @param {TileAddress} tile
   * @param {Map<string, Task>} tasks
   */
  #grow(tile, tasks) {
    const { x, y } = tile;
    let box = { left: x, top: y, right: x, bottom: y };
    for (;;) {
      const best = sides(box)
        .map(({ grown, strip }) => ({ grown, gain: gained(strip, tasks) / this.#cost(grown, tile) }))
        .filter(({ grown, gain }) => gain > 0 && this.#fits(grown, tile))
        .reduce((a, b) => (b.gain > a.gain ? b : a), { grown: box, gain: 0 });
      if (!best.gain) return box;
      box = best.grown;
    }
  }

  /**
   * @param {Box} box
   * @param {TileAddress} tile
   */
  #fits(box, tile) {
    const longest = Math.max(box.right - box.left, box.bottom - box.top) + 1;
    return longest * tile.px <= LONGEST_PX && this.#cost(box, tile) / this.#speed <= WINDOW_S;
  }

  /**
   * @param {Box} box
   * @param {TileAddress} tile
   */
  #cost(box, tile) {
    const { halvings, block } = scaleOf(this.#model, tile.z);
    return flopsOf(this.#model, halvings, rectOf(box, tile, block));
  }

  /** @param {number} speed */
  #measure(speed) {
    this.#speed = this.#measured ? (this.#speed + speed) / 2 : speed;
    if (!this.#measured) this.#pool.grow();
    this.#measured = true;
  }

  /**
   * @param {string} key
   * @param {ImageBitmap} picture
   */
  #keep(key, picture) {
    this.#kept.delete(key);
    this.#kept.set(key, picture);
    if (this.#kept.size <= KEPT_TILES) return;
    const [[oldest, old]] = this.#kept;
    this.#kept.delete(oldest);
    old.close();
  }
}

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box tiles, both ends included */

/** @param {TileAddress} tile */
const keyOf = ({ world, z, x, y, px }) => `${world.revision}/${z}/${px}/${x}/${y}`;

/**
 * @param {Box} box
 * @param {TileAddress} tile
 * @param {number} block
 */
function rectOf({ left, top, right, bottom }, { px }, block) {
  const side = px * block;
  return { x: left * side, y: top * side, w: (right - left + 1) * side, h: (bottom - top + 1) * side };
}

/**
 * @param {{urgency: [number, number]}} a
 * @param {{urgency: [number, number]}} b
 */
function earlier({ urgency: a }, { urgency: b }) {
  return a[0] - b[0] || a[1] - b[1];
}

/**
 * @param {Box} box
 * @param {TileAddress} tile
 */
function contains({ left, top, right, bottom }, { x, y }) {
  return left <= x && x <= right && top <= y && y <= bottom;
}

/**
 * The boxes that are one column or row larger, each with what it adds.
 * @param {Box} box
 * @returns {{grown: Box, strip: Box}[]}
 */
function sides(box) {
  const { left, top, right, bottom } = box;
  return [
    { grown: { ...box, left: left - 1 }, strip: { ...box, left: left - 1, right: left - 1 } },
    { grown: { ...box, right: right + 1 }, strip: { ...box, left: right + 1, right: right + 1 } },
    { grown: { ...box, top: top - 1 }, strip: { ...box, top: top - 1, bottom: top - 1 } },
    { grown: { ...box, bottom: bottom + 1 }, strip: { ...box, top: bottom + 1, bottom: bottom + 1 } },
  ];
}

/**
 * The share of a strip that waits.
 * @param {Box} strip
 * @param {Map<string, Task>} tasks
 */
function gained({ left, top, right, bottom }, tasks) {
  let found = 0;
  for (let x = left; x <= right; x += 1) for (let y = top; y <= bottom; y += 1) found += Number(tasks.has(`${x}/${y}`));
  return found / ((right - left + 1) * (bottom - top + 1)) < 0.5 ? 0 : found;
}

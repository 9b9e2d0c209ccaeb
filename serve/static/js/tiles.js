/** Tiles of the canvas: fetched by priority, aborted when they leave the view. */

import { ApiError, complaint, tileUrl } from "./api.js";

const PARALLEL = 4; // browsers open six connections per server; two stay free for changes and jobs
const RETRIED = new Set([0, 429, 503, 504]);
const MOST_TRIES = 8;
const SLOWEST_S = 8;

/**
 * @typedef {object} Task
 * @property {string} url
 * @property {number} turn lower ones come first
 * @property {{x: number, y: number}} middle px of the world
 * @property {(picture: ImageBitmap) => void} draw
 * @property {(error: Error) => void} fail
 * @property {AbortController} stop
 * @property {number} tries
 */

// Load the coarse picture first in an empty view, and last under sharp tiles.
const TURNS = { coarse: 0, sharp: 1, coarseAgain: 2 };

/** Fires "busy" and "idle". */
export class TileQueue extends EventTarget {
  /** Focus of the view, px of the world; tiles near it load first. */
  focus = { x: 0, y: 0 };
  /** @type {Set<Task>} */
  #open = new Set();
  /** @type {Set<Task>} */
  #waiting = new Set();
  #running = 0;

  /** @param {Task} task */
  add(task) {
    this.#open.add(task);
    if (this.#open.size === 1) this.dispatchEvent(new Event("busy"));
    this.#waiting.add(task);
    queueMicrotask(() => this.#pump()); // queue the whole view before choosing the first tile
  }

  /** @param {Task} task */
  cancel(task) {
    task.stop.abort();
    this.#close(task);
  }

  #pump() {
    while (this.#running < PARALLEL && this.#waiting.size) {
      const task = this.#nearest();
      this.#waiting.delete(task);
      this.#running += 1;
      void this.#run(task).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
  }

  /** @returns {Task} */
  #nearest() {
    const { x, y } = this.focus;
    /** @param {Task} task */
    const distance = ({ middle }) => Math.hypot(middle.x - x, middle.y - y);
    /** @param {Task} a @param {Task} b */
    const before = (a, b) => (a.turn === b.turn ? distance(a) < distance(b) : a.turn < b.turn);
    return [...this.#waiting].reduce((best, task) => (before(task, best) ? task : best));
  }

  /** @param {Task} task */
  async #run(task) {
    try {
      const picture = await fetchPicture(task.url, task.stop.signal);
      if (!task.stop.signal.aborted) task.draw(picture);
      picture.close();
      this.#close(task);
    } catch (error) {
      if (task.stop.signal.aborted) return;
      if (error instanceof TileError && RETRIED.has(error.status) && task.tries < MOST_TRIES) {
        task.tries += 1;
        setTimeout(() => this.#again(task), 1000 * (error.wait || Math.min(2 ** (task.tries - 1), SLOWEST_S)));
        return;
      }
      task.fail(error instanceof Error ? error : new Error(String(error)));
      this.#close(task);
    }
  }

  /** @param {Task} task */
  #again(task) {
    if (!this.#open.has(task)) return;
    this.#waiting.add(task);
    this.#pump();
  }

  /** @param {Task} task */
  #close(task) {
    this.#waiting.delete(task);
    if (this.#open.delete(task) && !this.#open.size) this.dispatchEvent(new Event("idle"));
  }
}

class TileError extends ApiError {
  /**
   * @param {string} message
   * @param {number} status
   * @param {number} wait seconds that the server asks for, 0 where it does not say
   */
  constructor(message, status, wait) {
    super(message, status);
    this.wait = wait;
  }
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<ImageBitmap>}
 */
async function fetchPicture(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal });
  } catch {
    throw new TileError("The server does not answer. Is infgen serve still running?", 0, 0);
  }
  if (response.ok) return createImageBitmap(await response.blob());
  const wait = Number(response.headers.get("Retry-After")) || 0;
  throw new TileError(complaint(await response.text(), response.status), response.status, wait);
}

/** @typedef {{task: Task, coords: L.Coords, done: L.DoneCallback}} Live */

/** One layer of tiles. `offset`: zoom levels below the map's, for the coarse first view. */
export class TileLayer extends L.GridLayer {
  /** @type {Map<HTMLElement, Live>} */
  #live = new Map();
  /** @type {{id: string, revision: string} | null} */
  #world = null;
  #queue;
  #offset;
  #report;

  /**
   * @param {TileQueue} queue
   * @param {{offset: number, report: (error: Error) => void} & L.GridLayerOptions} options
   */
  constructor(queue, { offset, report, ...options }) {
    super({ tileSize: 256 * 2 ** -offset, keepBuffer: 1, updateWhenIdle: false, updateWhenZooming: false, ...options });
    this.#queue = queue;
    this.#offset = offset;
    this.#report = report;
    this.on("tileunload", ({ tile }) => this.#forget(tile));
  }

  /**
   * Show another world at once, or another revision, whose tiles replace the old ones one by one.
   * @param {{id: string, revision: string}} world
   */
  show({ id, revision }) {
    const previous = this.#world;
    this.#world = { id, revision };
    if (previous?.id !== id) {
      this.redraw();
      return;
    }
    if (previous.revision === revision) return;
    for (const [tile, live] of this.#live) {
      this.#queue.cancel(live.task);
      // Call it once only: the map fades the tile in at every call.
      const done = tile.dataset.shown ? () => undefined : live.done;
      live.task = this.#ask(/** @type {HTMLCanvasElement} */ (tile), live.coords, done);
    }
  }

  /**
   * @param {L.Coords} coords
   * @param {L.DoneCallback} done
   * @returns {HTMLElement}
   */
  createTile(coords, done) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 256;
    if (this.#world) this.#live.set(tile, { task: this.#ask(tile, coords, done), coords, done });
    return tile;
  }

  /** @param {HTMLElement} tile */
  #forget(tile) {
    const live = this.#live.get(tile);
    if (live) this.#queue.cancel(live.task);
    this.#live.delete(tile);
  }

  /**
   * @param {HTMLCanvasElement} tile
   * @param {L.Coords} coords
   * @param {L.DoneCallback} done
   * @returns {Task}
   */
  #ask(tile, { x, y, z }, done) {
    const world = /** @type {{id: string, revision: string}} */ (this.#world);
    const zoom = z + this.#offset;
    const side = 256 * 2 ** -zoom;
    const coarse = tile.dataset.shown ? TURNS.coarseAgain : TURNS.coarse;
    /** @type {Task} */
    const task = {
      url: tileUrl(world, zoom, x, y),
      turn: this.#offset < 0 ? coarse : TURNS.sharp,
      middle: { x: (x + 0.5) * side, y: (y + 0.5) * side },
      stop: new AbortController(),
      tries: 0,
      draw: (picture) => {
        /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d")).drawImage(picture, 0, 0);
        tile.dataset.shown = `${world.revision}/${zoom}/${x}/${y}`;
        done(undefined, tile);
      },
      fail: (error) => {
        done(error, tile);
        this.#report(error);
      },
    };
    this.#queue.add(task);
    return task;
  }
}

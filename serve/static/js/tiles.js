/** Tiles of the canvas: fetched from the middle outwards, aborted when they leave the view. */

import { ApiError, connection, fetchTile, PARALLEL_TILES } from "./api.js";
import { fade } from "./fade.js";

export const TILE_PX = 256; // usual side of a tile
const TURN = 1; // of tiles: after first pictures
const BUSY = new Set([429, 503]);
const TOO_LATE = 504;
const MOST_TRIES = 8;
const SLOWEST_S = 8;
const CALM = 4; // answered tiles before a busy server gets one more at a time

/**
 * @typedef {object} Task
 * @property {import("./api.js").TileAddress} address
 * @property {{x: number, y: number}} middle px of the world
 * @property {(picture: ImageBitmap) => void} draw closes the picture
 * @property {(error: Error) => void} fail
 * @property {AbortController} stop
 * @property {number} tries
 */

/** Fires "busy" and "idle". */
export class TileQueue extends EventTarget {
  /** Focus of the view, px of the world; tiles near it load first. */
  focus = { x: 0, y: 0 };
  /** @type {Set<Task>} */
  #open = new Set();
  /** @type {Set<Task>} */
  #waiting = new Set();
  #running = 0;
  #parallel = PARALLEL_TILES;
  #answered = 0;
  #pauses = 0;

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
    while (!this.#pauses && this.#running < this.#parallel && this.#waiting.size) {
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
    return [...this.#waiting].reduce((best, task) => (this.#distance(task) < this.#distance(best) ? task : best));
  }

  /** @param {Task} task */
  #distance({ middle }) {
    return Math.hypot(middle.x - this.focus.x, middle.y - this.focus.y);
  }

  /** @param {Task} task */
  async #run(task) {
    try {
      const urgency = /** @type {() => [number, number]} */ (() => [TURN, this.#distance(task)]);
      const options = { signal: task.stop.signal, urgency };
      const picture = await fetchTile(task.address, options);
      if (task.stop.signal.aborted) picture.close();
      else task.draw(picture);
      this.#close(task);
      this.#hurry();
    } catch (error) {
      if (task.stop.signal.aborted) return;
      if (error instanceof ApiError && this.#retry(task, error)) return;
      task.fail(error instanceof Error ? error : new Error(String(error)));
      this.#close(task);
    }
  }

  /**
   * Ask for a tile again: when the server is found, after the time that it asks for, or a few times.
   * @param {Task} task
   * @param {ApiError} error
   * @returns {boolean}
   */
  #retry(task, { status, wait }) {
    const late = status === TOO_LATE && task.tries < MOST_TRIES;
    if (status !== 0 && !BUSY.has(status) && !late) return false;
    const seconds = wait || Math.min(2 ** task.tries, SLOWEST_S);
    task.tries += 1;
    this.#waiting.add(task);
    if (status === 0) this.pause(connection.whenOnline());
    else {
      this.#parallel = 1;
      this.#answered = 0;
      this.pause(new Promise((resolve) => setTimeout(resolve, 1000 * seconds)));
    }
    return true;
  }

  /**
   * Ask for no tiles before `end`.
   * @param {Promise<unknown>} end
   */
  pause(end) {
    this.#pauses += 1;
    void end.then(() => {
      this.#pauses -= 1;
      this.#pump();
    });
  }

  /** A busy server gets more tiles at a time again, step by step. */
  #hurry() {
    this.#answered += 1;
    if (this.#parallel === PARALLEL_TILES || this.#answered < CALM) return;
    this.#answered = 0;
    this.#parallel += 1;
  }

  /** @param {Task} task */
  #close(task) {
    this.#waiting.delete(task);
    if (this.#open.delete(task) && !this.#open.size) this.dispatchEvent(new Event("idle"));
  }
}

/** @typedef {{task: Task, coords: L.Coords, done: L.DoneCallback}} Live */

/** One layer of tiles. `px`: side of a tile in pixels of its zoom level. */
export class TileLayer extends L.GridLayer {
  /** @type {Map<HTMLElement, Live>} */
  #live = new Map();
  /** @type {{id: string, revision: string, model?: boolean} | null} */
  #world = null;
  #queue;
  #px;
  #report;

  /**
   * @param {TileQueue} queue
   * @param {{px: number, report: (error: Error) => void} & L.GridLayerOptions} options
   */
  constructor(queue, { px, report, ...options }) {
    super({ tileSize: px, keepBuffer: 1, updateWhenIdle: false, updateWhenZooming: false, ...options });
    this.#queue = queue;
    this.#px = px;
    this.#report = report;
    this.on("tileunload", ({ tile }) => this.#forget(tile));
  }

  /**
   * Show another world at once, or another revision, whose tiles replace the old ones one by one. Add the layer to the
   * map afterwards.
   * @param {{id: string, revision: string, model?: boolean}} world `model`: without photographs
   */
  show({ id, revision, model }) {
    const previous = this.#world;
    this.#world = { id, revision, ...(model ? { model } : {}) };
    if (previous?.id !== id) {
      this.remove(); // Leaflet's redraw() ignores the least zoom of a layer
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
    tile.width = tile.height = this.#px;
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
    const world = /** @type {{id: string, revision: string, model?: boolean}} */ (this.#world);
    const px = this.#px;
    const side = px * 2 ** -z;
    /** @type {Task} */
    const task = {
      address: { world, z, x, y, px },
      middle: { x: (x + 0.5) * side, y: (y + 0.5) * side },
      stop: new AbortController(),
      tries: 0,
      draw: (picture) => {
        const context = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
        const paint = () => context.drawImage(picture, 0, 0);
        const end = () => {
          picture.close();
          tile.dataset.shown = `${world.revision}${world.model ? ":model" : ""}/${z}/${x}/${y}`;
        };
        if (tile.dataset.shown) {
          fade(context, { paint, signal: task.stop.signal, end });
        } else {
          paint();
          end();
        }
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

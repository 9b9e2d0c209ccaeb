/** Places in the browser's history, so that back and forward go through worlds and places. */

import { formatLink } from "./link.js";

const SETTLED_MS = 1000; // a place counts if the view rests there
const FAR = 0.5; // of the view: nearer places share an entry

/** @typedef {{world: string, seed: number | bigint, x: number, y: number, z: number}} Stop */

export class Trail {
  /** @type {Stop | null} the place of the current entry */
  #entry = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;

  /**
   * Show the view in the address bar. Another world, or a far place that the view rests at, gets an entry of its own.
   * @param {Stop} stop
   * @param {{w: number, h: number}} size of the view, px of the world
   */
  show(stop, size) {
    clearTimeout(this.#resting);
    const last = this.#entry;
    if (last && last.world !== stop.world) {
      this.#push(last, stop);
      return;
    }
    history.replaceState(null, "", formatLink(stop));
    if (!last) this.#entry = stop;
    else if (isFar(last, stop, size)) this.#resting = setTimeout(() => this.#push(last, stop), SETTLED_MS);
  }

  /**
   * Begin at the place of another entry, after back or forward.
   * @param {Stop} stop
   */
  follow(stop) {
    clearTimeout(this.#resting);
    this.#entry = stop;
  }

  /**
   * @param {Stop} last its entry shows a later place by now
   * @param {Stop} stop
   */
  #push(last, stop) {
    history.replaceState(null, "", formatLink(last));
    history.pushState(null, "", formatLink(stop));
    this.#entry = stop;
  }
}

/**
 * @param {Stop} a
 * @param {Stop} b
 * @param {{w: number, h: number}} size
 */
function isFar(a, b, { w, h }) {
  return a.z !== b.z || Math.abs(a.x - b.x) > FAR * w || Math.abs(a.y - b.y) > FAR * h;
}

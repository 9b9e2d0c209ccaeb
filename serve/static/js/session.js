/**
 * The current world and its changes. Changes appear at once, and are sent one at a time, each based on the newest revision.
 * A change that comes after one of another window is applied to the new state. While the server is away, changes wait.
 */

import * as api from "./api.js";

const AWAY = new Set([0, 429, 503]);
const MOST_TRIES = 5; // with other windows that change the same world
const NO_CHANGE = "This change does not apply to the world any more: another window has changed it.";

/** @typedef {(world: api.World) => api.World | null} Change null: it does not apply */

/** Fires "change" when the record changes, "busy" and "idle" around pending changes. */
export class Session extends EventTarget {
  /** @type {api.WorldRecord | null} with the changes that are not answered yet; its revision is without them */
  record = null;
  /** @type {api.WorldRecord | null} as the server has it */
  #base = null;
  /** @type {Change[]} not answered yet */
  #changes = [];
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  #unanswered = 0;

  /** @returns {api.WorldRecord} */
  get current() {
    if (!this.record) throw new Error("no world is open");
    return this.record;
  }

  /**
   * The world as the server has it, without the changes that are not answered yet.
   * @returns {api.WorldRecord}
   */
  get saved() {
    if (!this.#base) throw new Error("no world is open");
    return this.#base;
  }

  /** Whether a change is not answered yet. */
  get isPending() {
    return this.#changes.length > 0;
  }

  /** @param {string} id */
  open(id) {
    return this.#next(() => api.world(id));
  }

  /** @param {{name?: string, world: {seed: api.Seed}}} body */
  create(body) {
    return this.#next(() => api.createWorld(body));
  }

  /** Reload the world after a job has changed it. */
  refresh() {
    return this.#next(() => api.world(this.saved.id));
  }

  /**
   * Replace the world by `change(world)`. Sends nothing if that returns the same object.
   * @param {Change} change
   */
  edit(change) {
    this.#changes.push(change);
    this.#show(this.saved);
    const done = this.#next(() => {
      const { world } = this.saved;
      const changed = change(world);
      if (changed === null) throw new Error(NO_CHANGE);
      return changed === world ? Promise.resolve(this.saved) : api.putWorld(this.saved, changed);
    }, change);
    return done;
  }

  /** @param {api.Resampling} body */
  resample(body) {
    return this.#next(() => api.resample(this.saved, body));
  }

  /**
   * Place the styles as a painted map of `rect` says.
   * @param {File} map
   * @param {api.Rect} rect
   */
  paint(map, rect) {
    return this.#next(() => api.paintWorld(this.saved, map, rect));
  }

  /** Undo, if possible. */
  undo() {
    return this.#next(() => (this.saved.can_undo ? api.undo(this.saved) : Promise.resolve(this.saved)));
  }

  /** Redo, if possible. */
  redo() {
    return this.#next(() => (this.saved.can_redo ? api.redo(this.saved) : Promise.resolve(this.saved)));
  }

  /**
   * @param {() => Promise<api.WorldRecord>} send
   * @param {Change} [change] that `send` sends
   * @returns {Promise<api.WorldRecord>}
   */
  #next(send, change) {
    if (!this.#unanswered) this.dispatchEvent(new Event("busy"));
    this.#unanswered += 1;
    const done = this.#last.then(() => this.#send(send, change));
    this.#last = done.catch(() => undefined).then(() => this.#answered()); // a failure must not block the next change
    return done;
  }

  #answered() {
    this.#unanswered -= 1;
    if (!this.#unanswered) this.dispatchEvent(new Event("idle"));
  }

  /**
   * @param {() => Promise<api.WorldRecord>} send
   * @param {Change} [change]
   */
  async #send(send, change) {
    try {
      const record = await this.#insist(send);
      this.#changes = this.#changes.filter((other) => other !== change);
      return this.#show(record);
    } catch (error) {
      this.#changes = this.#changes.filter((other) => other !== change);
      if (this.#base) this.#show(this.#base);
      throw error;
    }
  }

  /**
   * Send until the server takes it: again when it is back, and after the changes of another window.
   * @param {() => Promise<api.WorldRecord>} send
   */
  async #insist(send) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send();
      } catch (error) {
        if (!(error instanceof api.ApiError) || !this.#base) throw error;
        if (AWAY.has(error.status)) await back(error);
        else if (error.status === 412 && tries < MOST_TRIES) this.#show(await api.world(this.#base.id));
        else throw error;
      }
    }
  }

  /**
   * @param {api.WorldRecord} base
   * @returns {api.WorldRecord} with the changes that are not answered yet
   */
  #show(base) {
    if (this.#base && base.id !== this.#base.id) this.#changes = [];
    const world = this.#changes.reduce((found, change) => change(found) ?? found, base.world);
    if (base !== this.#base || world !== this.record?.world) {
      this.#base = base;
      this.record = world === base.world ? base : { ...base, world };
      this.dispatchEvent(new Event("change"));
    }
    return /** @type {api.WorldRecord} */ (this.record);
  }
}

/**
 * Wait until the server is back, or has had the time that it asks for.
 * @param {api.ApiError} error
 */
async function back({ status, wait }) {
  if (status === 0) await api.connection.whenOnline();
  else await new Promise((resolve) => setTimeout(resolve, 1000 * (wait || 1)));
}

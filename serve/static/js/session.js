/** The current world and its changes, sent one at a time, each based on the newest revision. */

import * as api from "./api.js";

/** Fires "change" when the record changes, "busy" and "idle" around pending changes. */
export class Session extends EventTarget {
  /** @type {api.WorldRecord | null} */
  record = null;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  #unanswered = 0;

  /** @returns {api.WorldRecord} */
  get current() {
    if (!this.record) throw new Error("no world is open");
    return this.record;
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
    return this.#next(() => api.world(this.current.id));
  }

  /**
   * Replace the world by `change(world)`. Sends nothing if that returns the same object.
   * @param {(world: api.World) => api.World} change
   */
  edit(change) {
    return this.#next(() => {
      const changed = change(this.current.world);
      return changed === this.current.world ? Promise.resolve(this.current) : api.putWorld(this.current, changed);
    });
  }

  /** @param {api.Resampling} body */
  resample(body) {
    return this.#next(() => api.resample(this.current, body));
  }

  /** Undo, if possible. */
  undo() {
    return this.#next(() => (this.current.can_undo ? api.undo(this.current) : Promise.resolve(this.current)));
  }

  /** Redo, if possible. */
  redo() {
    return this.#next(() => (this.current.can_redo ? api.redo(this.current) : Promise.resolve(this.current)));
  }

  /**
   * @param {() => Promise<api.WorldRecord>} send
   * @returns {Promise<api.WorldRecord>}
   */
  #next(send) {
    if (!this.#unanswered) this.dispatchEvent(new Event("busy"));
    this.#unanswered += 1;
    const done = this.#last.then(() => this.#send(send));
    this.#last = done.catch(() => undefined).then(() => this.#answered()); // a failure must not block the next change
    return done;
  }

  #answered() {
    this.#unanswered -= 1;
    if (!this.#unanswered) this.dispatchEvent(new Event("idle"));
  }

  /** @param {() => Promise<api.WorldRecord>} send */
  async #send(send) {
    try {
      return this.#show(await send());
    } catch (error) {
      if (!(error instanceof api.ApiError) || error.status !== 412 || !this.record) throw error;
      this.#show(await api.world(this.record.id));
      throw new api.ApiError("This world was changed elsewhere. The page now shows its current state; try again.", 412);
    }
  }

  /** @param {api.WorldRecord} record */
  #show(record) {
    if (record !== this.record) {
      this.record = record;
      this.dispatchEvent(new Event("change"));
    }
    return record;
  }
}

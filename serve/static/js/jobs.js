/** The jobs of the server: read again and again, so that reloads, other windows and restarts lose none. */

import * as api from "./api.js";

const OPEN_MS = 700;
const QUIET_MS = 10_000;
const ENDED = new Set(["done", "failed", "cancelled"]);

/** @param {api.Job} job */
export const isOpen = (job) => !ENDED.has(job.state);

/** Fires "change" when a job has changed, and "ended" with the job as `detail` when one ends. */
export class Jobs extends EventTarget {
  /** @type {api.Job[]} newest first */
  list = [];
  /** @type {Set<string>} ids of jobs that this page has started */
  #own = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** Begin to follow the jobs. */
  async start() {
    clearTimeout(this.#timer);
    try {
      this.#hear(await api.jobs());
    } catch {
      await api.connection.whenOnline(); // other errors: at the next time
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), this.list.some(isOpen) ? OPEN_MS : QUIET_MS);
  }

  /**
   * Add a job that this page has started.
   * @param {api.Job} job
   */
  add(job) {
    this.#own.add(job.id);
    this.#hear([job, ...this.list.filter(({ id }) => id !== job.id)]);
    void this.start();
  }

  /** @param {api.Job} job */
  isOwn(job) {
    return this.#own.has(job.id);
  }

  /**
   * Cancel an open job, or remove an ended one.
   * @param {api.Job} job
   */
  async cancel(job) {
    await api.cancelJob(job.id);
    await this.start();
  }

  /** @param {api.Job[]} list */
  #hear(list) {
    const before = new Map(this.list.map((job) => [job.id, job]));
    this.list = list;
    if (JSON.stringify([...before.values()]) !== JSON.stringify(list)) this.dispatchEvent(new Event("change"));
    for (const job of list) {
      const old = before.get(job.id);
      if (old && isOpen(old) && !isOpen(job)) this.dispatchEvent(new CustomEvent("ended", { detail: job }));
    }
  }
}

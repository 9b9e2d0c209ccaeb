/** Follow jobs by server-sent events, show their progress, and cancel them. */

import * as api from "./api.js";

const ENDED = new Set(["done", "failed", "cancelled"]);
const SOON_S = 3;
const AGAIN_MS = 2000;

/**
 * Follow a job until it ends.
 * @param {api.Job} job
 * @param {(job: api.Job) => void} told called on every update
 * @returns {Promise<api.Job>} the ended job; rejects with the reason of a failure
 */
async function follow(job, told) {
  const events = api.openJobEvents(job.id);
  try {
    const ended = await new Promise((resolve, reject) => {
      /** @param {api.Job} news */
      const hear = (news) => {
        told(news);
        if (ENDED.has(news.state)) resolve(news);
      };
      const ask = () => void api.job(job.id).then(hear, reject);
      for (const type of ["progress", "end"]) {
        events.addEventListener(type, (event) => hear(JSON.parse(/** @type {MessageEvent} */ (event).data)));
      }
      // The connection broke. The browser reopens the stream; if it cannot, poll the job.
      events.addEventListener("error", () => setTimeout(ask, AGAIN_MS));
    });
    if (ended.error) throw new Error(ended.error);
    return ended;
  } finally {
    events.close();
  }
}

/**
 * Describe the progress of a job; `done` describes a running one.
 * @param {api.Job} job
 * @param {(job: api.Job) => string} done
 */
function words(job, done) {
  if (job.state === "queued") return "Waiting for its turn";
  if (!job.progress.total) return "Preparing";
  const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
  return done(job) + left;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < SOON_S) return "moments";
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** A progress bar with one line of text and a cancel button; hidden while no job runs. */
export class JobBar {
  #root;
  #bar;
  #words;
  /** @type {string | null} */
  #id = null;

  /** @param {HTMLElement} root an element with a progress, a .job-words and a [data-action=cancel] in it */
  constructor(root) {
    this.#root = root;
    this.#bar = /** @type {HTMLProgressElement} */ (root.querySelector("progress"));
    this.#words = /** @type {HTMLElement} */ (root.querySelector(".job-words"));
    const cancel = /** @type {HTMLButtonElement} */ (root.querySelector("[data-action=cancel]"));
    cancel.addEventListener("click", () => {
      if (this.#id) void api.cancelJob(this.#id).catch(() => undefined); // it has ended meanwhile
    });
  }

  /**
   * Show the bar while the job runs. `done` describes a running job; `told` gets every update.
   * @param {api.Job} job
   * @param {{done: (job: api.Job) => string, told?: (job: api.Job) => void}} shown
   */
  async run(job, { done: said, told = () => undefined }) {
    this.#id = job.id;
    this.#root.hidden = false;
    /** @param {api.Job} news */
    const show = (news) => {
      const { done, total } = news.progress;
      if (total) this.#bar.value = done / total;
      else this.#bar.removeAttribute("value");
      this.#words.textContent = words(news, said);
      told(news);
    };
    try {
      show(job);
      return await follow(job, show);
    } finally {
      this.#id = null;
      this.#root.hidden = true;
    }
  }
}

/** Whether the server answers. While it does not, the page asks until it is back, and says so. */

const SOONEST_MS = 1000;
const SLOWEST_MS = 5000;

/** Fires "lost" and "found". */
export class Connection extends EventTarget {
  /** Whether the last request was answered. */
  online = true;
  #probe;

  /** @param {() => Promise<boolean>} probe whether the server answers */
  constructor(probe) {
    super();
    this.#probe = probe;
  }

  /** A request was not answered. */
  lose() {
    if (!this.online) return;
    this.online = false;
    this.dispatchEvent(new Event("lost"));
    this.#ask(SOONEST_MS);
  }

  /** Wait until the server answers. */
  async whenOnline() {
    if (this.online) return;
    await new Promise((resolve) => this.addEventListener("found", resolve, { once: true }));
  }

  /** @param {number} wait ms */
  #ask(wait) {
    setTimeout(async () => {
      if (await this.#probe()) {
        this.online = true;
        this.dispatchEvent(new Event("found"));
      } else this.#ask(Math.min(1.5 * wait, SLOWEST_MS));
    }, wait);
  }
}

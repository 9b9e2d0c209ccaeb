/** Export a rectangle as PNG: window by window, band by band, into a stream. */

import { PngWriter } from "./png.js";

const BAND_PX = 512; // height of a band, and most columns of a window
const EXPORT_TURN = 3;
const AT_ONCE = 4; // windows that are asked for at once

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./model.js").Rect} Rect */
/** @typedef {{id: string, name: string}} Entry */
/** @typedef {{rect: Rect, name: string, infgen: string}} Picture */
/** @typedef {Picture & {world: import("./document.js").CompleteWorld, revision: string, record: Entry}} Order */

export class ExportJob {
  id = `export-${Math.random().toString(36).slice(2)}`;
  /** @type {Job} */
  state;
  #source;
  #order;
  #stop = new AbortController();
  #begun = performance.now();

  /**
   * @param {import("./source.js").TileSource} source
   * @param {Order} order
   */
  constructor(source, order) {
    const { w, h } = order.rect;
    const { record, revision, name } = order;
    this.#source = source;
    this.#order = order;
    this.state = {
      id: this.id,
      kind: "export",
      name,
      world: record.id,
      world_name: record.name,
      stage: null,
      revision,
      anchors: [],
      continuations: [],
      sides: null,
      state: "running",
      progress: { done: 0, total: w * h },
      seconds_left: null,
      terms: {},
      preview: null,
      region: order.rect,
      result: null,
      error: null,
    };
    void this.#run();
  }

  async #run() {
    try {
      const blob = await this.#encode();
      this.#tell({ state: "done", result: URL.createObjectURL(blob) });
    } catch (error) {
      const cancelled = this.#stop.signal.aborted;
      const message = error instanceof Error ? error.message : String(error);
      this.#tell(cancelled ? { state: "cancelled" } : { state: "failed", error: message });
    }
  }

  async #encode() {
    const { rect, infgen } = this.#order;
    const writer = new PngWriter(rect.w, rect.h, `infgen ${infgen}`);
    for (let top = 0; top < rect.h; top += BAND_PX) {
      const rows = Math.min(BAND_PX, rect.h - top);
      await writer.write(await this.#band(top, rows));
    }
    return writer.close();
  }

  /**
   * The pixels of `rows` rows from `top` on, RGBA.
   * @param {number} top
   * @param {number} rows
   */
  async #band(top, rows) {
    const { rect } = this.#order;
    const band = new Uint8ClampedArray(4 * rect.w * rows);
    const lefts = Array.from({ length: Math.ceil(rect.w / BAND_PX) }, (_, i) => i * BAND_PX);
    const next = lefts.values();
    const work = async () => {
      for (const left of next) await this.#window(band, { left, top, rows });
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return band;
  }

  /**
   * @param {Uint8ClampedArray} band
   * @param {{left: number, top: number, rows: number}} place
   */
  async #window(band, { left, top, rows }) {
    this.#stop.signal.throwIfAborted();
    const { world, revision, rect } = this.#order;
    const part = { x: rect.x + left, y: rect.y + top, w: Math.min(BAND_PX, rect.w - left), h: rows };
    const request = { kind: "window", world, revision, halvings: 0, rect: part, block: 1, parts: null };
    const signal = this.#stop.signal;
    const { pixels } = await this.#source.ask(request, { signal, urgency: () => [EXPORT_TURN, 0] });
    for (let row = 0; row < rows; row += 1) {
      band.set(pixels.subarray(4 * row * part.w, 4 * (row + 1) * part.w), 4 * (row * rect.w + left));
    }
    const { done, total } = this.state.progress;
    const finished = done + part.w * rows;
    const seconds = ((performance.now() - this.#begun) / 1000) * (total / finished - 1);
    this.#tell({ progress: { done: finished, total }, seconds_left: seconds });
  }

  /** @param {Partial<Job>} news */
  #tell(news) {
    this.state = { ...this.state, ...news };
  }

  cancel() {
    this.#stop.abort();
  }
}

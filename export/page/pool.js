/** The workers that render: one that uses a GPU or threads, or else a few with one thread each. */

const MOST_WORKERS = 4;
const GB_PER_WORKER = 2;

/** @typedef {import("./worker.js").Backend} Backend */
/** @typedef {{resolve: (result: any) => void, reject: (error: Error) => void}} Pending */

/** One worker. It answers requests in order. */
class Renderer {
  busy = false;
  #worker;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #next = 0;

  constructor() {
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) pending?.resolve(result);
      else pending?.reject(new Error(error));
    });
    this.#worker.addEventListener("error", (event) => this.#fail(event.message || "The renderer did not start."));
  }

  /** @param {object} request */
  ask(request) {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...request });
    });
  }

  close() {
    this.#worker.terminate();
    this.#fail("The renderer was closed.");
  }

  /** @param {string} message */
  #fail(message) {
    for (const { reject } of this.#pending.values()) reject(new Error(message));
    this.#pending.clear();
  }
}

/** Fires "free" when a worker becomes free. */
export class Pool extends EventTarget {
  /** @type {Renderer[]} */
  #renderers = [];
  #most = 1;
  #open;
  #binary;

  /**
   * @param {import("./model.js").Model} model
   * @param {string} base address of the page
   * @param {Backend} backend
   */
  constructor(model, base, backend) {
    super();
    this.backend = backend;
    this.#open = { kind: "open", model, base, backend };
    this.#binary = download(new URL(`ort/${backend}.wasm`, base).href); // once for all workers
    this.#binary.catch(() => undefined); // reported where it is needed
    const single = backend === "webgpu" || self.crossOriginIsolated; // the one worker uses everything
    this.#most = single ? 1 : workersOf(navigator);
  }

  /** Start the first worker. It fails here if the backend does not work. */
  async start() {
    await this.#add();
  }

  /** Start the other workers, after the first one has loaded what all of them need. */
  grow() {
    while (this.#renderers.length < this.#most) void this.#add().catch(() => (this.#most = 1));
  }

  async #add() {
    const renderer = new Renderer();
    renderer.busy = true;
    this.#renderers.push(renderer);
    try {
      await renderer.ask({ ...this.#open, binary: await this.#binary });
      renderer.busy = false;
      this.dispatchEvent(new Event("free"));
    } catch (error) {
      this.#renderers.splice(this.#renderers.indexOf(renderer), 1);
      renderer.close();
      throw error;
    }
  }

  get free() {
    return this.#renderers.some(({ busy }) => !busy);
  }

  /**
   * Ask a free worker.
   * @param {object} request
   * @returns {Promise<any>}
   */
  async ask(request) {
    const renderer = this.#renderers.find(({ busy }) => !busy);
    if (!renderer) throw new Error("no renderer is free");
    renderer.busy = true;
    try {
      return await renderer.ask(request);
    } finally {
      renderer.busy = false;
      this.dispatchEvent(new Event("free"));
    }
  }
}

/** @param {string} url */
async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} is missing (status ${response.status}): export the page again.`);
  return response.arrayBuffer();
}

/** @param {Navigator & {deviceMemory?: number}} device */
function workersOf({ hardwareConcurrency, deviceMemory = 8 }) {
  return Math.max(1, Math.min(MOST_WORKERS, hardwareConcurrency || 1, Math.floor(deviceMemory / GB_PER_WORKER)));
}

/**
 * Open the fastest backend of this browser.
 * @param {import("./model.js").Model} model
 * @param {string} base
 * @returns {Promise<Pool>}
 */
export async function openPool(model, base) {
  if (await hasGpu()) {
    const pool = new Pool(model, base, "webgpu");
    const works = await pool.start().then(() => true, () => false);
    if (works) return pool;
  }
  const pool = new Pool(model, base, "wasm");
  await pool.start();
  return pool;
}

/** Whether there is a GPU, and WebAssembly can wait for it: the runtime needs both. */
async function hasGpu() {
  const { gpu } = /** @type {any} */ (navigator);
  if (!gpu || !("Suspending" in WebAssembly)) return false;
  try {
    const adapter = await gpu.requestAdapter();
    return adapter !== null && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter); // rendered by the CPU
  } catch {
    return false;
  }
}

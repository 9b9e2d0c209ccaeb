/** ONNX Runtime Web: sessions for the graphs of a model, which share one weights file. */

const KEPT = 4; // sessions; each holds the weights in float32
const ERRORS_ONLY = 3; // ONNX Runtime's log levels

/** @typedef {import("./model.js").Model} Model */
/** @typedef {{data: Float32Array | BigInt64Array, dims: number[]}} Array */

export class Network {
  #ort;
  #base;
  #provider;
  /** @type {Map<string, Promise<any>>} the last one is the most recent */
  #sessions = new Map();
  /** @type {Promise<Uint8Array> | null} */
  #weights = null;

  /**
   * @param {any} ort the module of ONNX Runtime Web
   * @param {string} base address of the model's folder, with a slash at its end
   * @param {"webgpu" | "wasm"} provider
   */
  constructor(ort, base, provider) {
    this.#ort = ort;
    this.#base = base;
    this.#provider = provider;
  }

  /**
   * Run a graph.
   * @param {string} graph name of its file
   * @param {Record<string, Array>} feeds
   * @returns {Promise<Record<string, {data: Float32Array, dims: number[]}>>}
   */
  async run(graph, feeds) {
    const session = await this.#session(graph);
    const tensors = Object.entries(feeds).map(([name, { data, dims }]) => {
      const kind = data instanceof BigInt64Array ? "int64" : "float32";
      return [name, new this.#ort.Tensor(kind, data, dims)];
    });
    return session.run(Object.fromEntries(tensors));
  }

  /**
   * Load a graph before it is needed.
   * @param {string} graph
   */
  async load(graph) {
    await this.#session(graph);
  }

  /**
   * @param {string} graph
   * @returns {Promise<any>}
   */
  #session(graph) {
    const found = this.#sessions.get(graph) ?? this.#open(graph);
    this.#sessions.delete(graph);
    this.#sessions.set(graph, found);
    found.catch(() => this.#sessions.delete(graph));
    for (const [name, session] of this.#sessions) {
      if (this.#sessions.size <= KEPT) break;
      this.#sessions.delete(name);
      void session.then((old) => old.release());
    }
    return found;
  }

  /** @param {string} graph */
  async #open(graph) {
    this.#weights ??= download(new URL("weights.bin", this.#base).href);
    const parts = await Promise.all([download(new URL(graph, this.#base).href), this.#weights]);
    // A graph followed by the weights is one ONNX model: protocol buffers merge messages that are joined.
    const model = new Uint8Array(parts[0].length + parts[1].length);
    model.set(parts[0]);
    model.set(parts[1], parts[0].length);
    const options = { executionProviders: [this.#provider], logSeverityLevel: ERRORS_ONLY };
    return this.#ort.InferenceSession.create(model, options);
  }
}

/** @param {string} url */
async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} is missing (status ${response.status}): export the page again.`);
  return new Uint8Array(await response.arrayBuffer());
}

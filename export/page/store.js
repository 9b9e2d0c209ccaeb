/** Worlds of this browser: documents with a history for undo and redo, in the browser's local storage. */

import { hash } from "./document.js";
import { parse, stringify } from "../json.js";

const PREFIX = "infgen.world.";
const MOST_REVISIONS = 50;

/** @typedef {import("../api.js").World} World */
/** @typedef {import("../api.js").WorldRecord} WorldRecord */
/** @typedef {import("../api.js").Favourite} Favourite */
/** @typedef {{name: string, modified: string, revisions: World[], at: number, favourites?: Favourite[]}} Stored */

/** @param {World} world */
const revisionOf = (world) => hash(stringify(world));

export class WorldStore {
  /** @type {Map<string, Stored>} */
  #worlds = new Map();

  constructor() {
    for (let i = 0; i < localStorage.length; i += 1) {
      const key = localStorage.key(i);
      const stored = key?.startsWith(PREFIX) ? readStored(localStorage.getItem(key) ?? "") : null;
      if (key && stored) this.#worlds.set(key.slice(PREFIX.length), stored);
    }
  }

  list() {
    return [...this.#worlds.keys()].map((id) => this.get(id));
  }

  /** @param {string} id */
  has(id) {
    return this.#worlds.has(id);
  }

  /**
   * @param {string} id of a stored world
   * @returns {WorldRecord & {modified: string}}
   */
  get(id) {
    const { name, modified, revisions, at, favourites = [] } = /** @type {Stored} */ (this.#worlds.get(id));
    const [world, canUndo, canRedo] = [revisions[at], at > 0, at + 1 < revisions.length];
    return { id, name, modified, revision: revisionOf(world), world, can_undo: canUndo, can_redo: canRedo, favourites };
  }

  /**
   * List the revisions of a world, oldest first.
   * @param {string} id
   */
  revisions(id) {
    const { revisions, at } = /** @type {Stored} */ (this.#worlds.get(id));
    return revisions.map((world, i) => ({ revision: revisionOf(world), current: i === at }));
  }

  /**
   * Replace the name or the favourite styles of a world.
   * @param {string} id
   * @param {{name?: string, favourites?: Favourite[]}} values
   */
  describe(id, values) {
    return this.#save(id, { .../** @type {Stored} */ (this.#worlds.get(id)), ...values });
  }

  /**
   * A world at one of its revisions, or now if that revision is forgotten.
   * @param {string} id
   * @param {string} revision
   */
  at(id, revision) {
    const found = this.#worlds.get(id)?.revisions.find((world) => revisionOf(world) === revision);
    return found ?? this.get(id).world;
  }

  /**
   * @param {World} world
   * @param {string} name
   */
  create(world, name) {
    const bytes = crypto.getRandomValues(new Uint8Array(6));
    const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return this.#save(id, { name, modified: "", revisions: [world], at: 0 });
  }

  /**
   * Add a revision after the current one, and drop undone ones.
   * @param {string} id
   * @param {World} world
   */
  change(id, world) {
    const stored = /** @type {Stored} */ (this.#worlds.get(id));
    if (revisionOf(stored.revisions[stored.at]) === revisionOf(world)) return this.get(id);
    const revisions = [...stored.revisions.slice(0, stored.at + 1), world].slice(-MOST_REVISIONS);
    return this.#save(id, { ...stored, revisions, at: revisions.length - 1 });
  }

  /**
   * @param {string} id
   * @param {-1 | 1} step undo or redo
   */
  step(id, step) {
    const stored = /** @type {Stored} */ (this.#worlds.get(id));
    const at = Math.min(Math.max(stored.at + step, 0), stored.revisions.length - 1);
    return this.#save(id, { ...stored, at });
  }

  /** @param {string} id */
  remove(id) {
    this.#worlds.delete(id);
    localStorage.removeItem(PREFIX + id);
  }

  /**
   * @param {string} id
   * @param {Stored} stored
   */
  #save(id, stored) {
    const dated = { ...stored, modified: new Date().toISOString() };
    this.#worlds.set(id, dated);
    try {
      localStorage.setItem(PREFIX + id, stringify(dated));
    } catch {
      // Storage is full or forbidden: the world lives until the page is closed, and can be saved as a file.
    }
    return this.get(id);
  }
}

/**
 * @param {string} text
 * @returns {Stored | null} null for anything else
 */
function readStored(text) {
  try {
    const stored = parse(text);
    return Array.isArray(stored.revisions) && stored.revisions[stored.at] ? stored : null;
  } catch {
    return null;
  }
}

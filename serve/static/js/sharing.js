/** Pack world documents for links, so that a link opens the same world on any server and without one. */

import { parse, stringify } from "./json.js";

const MOST_CHARACTERS = 16_000; // chat programs and browsers shorten longer links

// What a document of a new world holds. A link with the seed alone makes the same world.
/** @type {Record<string, unknown>} */
const DEFAULTS = { style: {}, truncation: 0.7, local_truncation: 0.5, noise: 1 };

/**
 * Pack a document: JSON, deflated, in base64 for addresses.
 * @param {import("./api.js").World} world
 * @returns {Promise<string | undefined>} undefined if the seed suffices, or if the world does not fit
 */
export async function pack(world) {
  const changed = Object.entries(world).filter(([name, value]) => !isDefault(name, value));
  if (!changed.length || "anchors" in world) return undefined; // photographs are only on their server
  const bytes = await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(stringify(world)));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  if (text.length > MOST_CHARACTERS) return undefined;
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function isDefault(name, value) {
  return name === "seed" || name === "schema" || (name in DEFAULTS && stringify(DEFAULTS[name]) === stringify(value));
}

/**
 * @param {string} text from `pack`
 * @returns {Promise<import("./api.js").World>}
 */
export async function unpack(text) {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return parse(new TextDecoder().decode(await through(new DecompressionStream("deflate-raw"), bytes)));
  } catch {
    throw new Error("The link is damaged: its world cannot be read. Copy the whole link again.");
  }
}

/**
 * @param {CompressionStream | DecompressionStream} stream
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
async function through(stream, bytes) {
  const out = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(out).arrayBuffer());
}

/**
 * JSON with exact integers: seeds have 64 bits, JavaScript numbers only 53.
 * Larger integers are read as BigInt and written as plain digits again.
 */

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g; // strings and numbers, each as a whole
const LONG_INTEGER = /^-?\d{16,}$/;
const MARK = "\u0000"; // no document may hold it: a marked string is one of ours
const MARKED = /"\\u0000(-?\d+)"/g;

/**
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  const marked = text.replace(TOKENS, (part) => (LONG_INTEGER.test(part) ? `"\\u0000${part}"` : part));
  return JSON.parse(marked, (_, value) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    return number(value.slice(1));
  });
}

/**
 * @param {unknown} value
 * @returns {string}
 */
export function stringify(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${MARK}${part}` : part));
  return text.replace(MARKED, "$1");
}

/**
 * The whole number in `text`, as BigInt only if a number cannot hold it.
 * @param {string} text
 * @returns {number | bigint}
 */
export function number(text) {
  const exact = BigInt(text);
  const plain = Number(exact);
  return Number.isSafeInteger(plain) ? plain : exact;
}

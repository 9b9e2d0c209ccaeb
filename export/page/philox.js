/**
 * Philox 4x32-10 and Box-Muller, as in `infgen/world/philox.py`. The integers are the same bits, the normals agree to within
 * float rounding.
 */

const ROUNDS = 10;
const [M0, M1] = [0xd2511f53, 0xcd9e8d57];
const [WEYL0, WEYL1] = [0x9e3779b9, 0xbb67ae85];
const UNIT = 2 ** -32;
const TURN = Math.fround(2 * Math.PI * UNIT);

/**
 * The upper 32 bits of the product of two 32-bit words.
 * @param {number} a
 * @param {number} b
 */
function high(a, b) {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + (middle >>> 16) + (other >>> 16)) >>> 0;
}

/**
 * Write four random words to `out`.
 * @param {Uint32Array} out
 * @param {number} c0 words of the counter, each modulo 2^32
 * @param {number} c1
 * @param {number} c2
 * @param {number} c3
 * @param {number} k0 words of the key
 * @param {number} k1
 */
export function philox(out, c0, c1, c2, c3, k0, k1) {
  for (let round = 0; round < ROUNDS; round += 1) {
    // No arrays here: this runs ten times for every four numbers.
    const next0 = high(M1, c2) ^ c1 ^ k0;
    const next2 = high(M0, c0) ^ c3 ^ k1;
    c1 = Math.imul(M1, c2);
    c3 = Math.imul(M0, c0);
    c0 = next0;
    c2 = next2;
    k0 = (k0 + WEYL0) | 0;
    k1 = (k1 + WEYL1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * Replace four words by four standard normals: pairs (0, 1) and (2, 3) of radius and angle give their cosine and sine.
 * @param {Uint32Array} words
 * @param {Float32Array} normals
 */
export function boxMuller(words, normals) {
  for (let pair = 0; pair < 4; pair += 2) {
    const u = Math.fround(Math.fround(words[pair]) + 0.5) * UNIT; // in (0, 1]
    const radius = Math.sqrt(-2 * Math.fround(Math.log(u)));
    const angle = Math.fround(Math.fround(words[pair + 1]) * TURN);
    normals[pair] = radius * Math.cos(angle);
    normals[pair + 1] = radius * Math.sin(angle);
  }
}

/**
 * The key of a seed, a whole number from -2^63 to 2^64 - 1.
 * @param {number | bigint} seed
 * @returns {[number, number]}
 */
export function keyOf(seed) {
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}

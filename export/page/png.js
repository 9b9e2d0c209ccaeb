/** Write a PNG of any size row by row: only its compressed bytes are kept. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const RGB = 2;
const PAETH = 4;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/**
 * @param {string} kind four letters
 * @param {Uint8Array} content
 */
function chunk(kind, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc(bytes.subarray(4, content.length + 8)));
  return bytes;
}

export class PngWriter {
  #width;
  #before;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #parts;
  #stream = new CompressionStream("deflate");
  #writer = this.#stream.writable.getWriter();
  #reading;

  /**
   * @param {number} width px
   * @param {number} height px
   * @param {string} source what made the picture; stored as text
   */
  constructor(width, height, source) {
    const head = new DataView(new ArrayBuffer(13));
    head.setUint32(0, width);
    head.setUint32(4, height);
    head.setUint8(8, 8);
    head.setUint8(9, RGB);
    const text = new TextEncoder().encode(`Software\0${source}`);
    this.#width = width;
    this.#before = new Uint8Array(3 * width);
    this.#parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", new Uint8Array(head.buffer)), chunk("tEXt", text)];
    this.#reading = this.#read();
  }

  async #read() {
    const reader = this.#stream.readable.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      if (value) this.#parts.push(chunk("IDAT", value));
    }
  }

  /**
   * Add rows.
   * @param {Uint8ClampedArray} pixels RGBA
   */
  async write(pixels) {
    const [width, rows] = [this.#width, pixels.length / this.#width / 4];
    const line = 3 * width + 1;
    const bytes = new Uint8Array(rows * line);
    let [before, own] = [this.#before, new Uint8Array(3 * width)];
    for (let row = 0; row < rows; row += 1) {
      for (let i = 0; i < width; i += 1) {
        const from = 4 * (row * width + i);
        for (let channel = 0; channel < 3; channel += 1) own[3 * i + channel] = pixels[from + channel];
      }
      bytes[row * line] = PAETH;
      for (let i = 0; i < 3 * width; i += 1) bytes[row * line + 1 + i] = own[i] - predict(own, before, i);
      [before, own] = [own, before];
    }
    this.#before = before;
    await this.#writer.write(bytes);
  }

  /** @returns {Promise<Blob>} */
  async close() {
    await this.#writer.close();
    await this.#reading;
    return new Blob([...this.#parts, chunk("IEND", new Uint8Array(0))], { type: "image/png" });
  }
}

/**
 * The Paeth predictor.
 * @param {Uint8Array} own
 * @param {Uint8Array} before
 * @param {number} i
 */
function predict(own, before, i) {
  const left = i < 3 ? 0 : own[i - 3];
  const corner = i < 3 ? 0 : before[i - 3];
  const above = before[i];
  const [a, b, c] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

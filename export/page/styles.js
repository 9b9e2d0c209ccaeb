/** The styles of a world, as in `infgen/rendering/palette.py`: global latents through the mapping network, truncated. */

import { globalLatent } from "./fields.js";

/** @typedef {import("../api.js").Seed} Seed */
/** @typedef {import("../api.js").Source} Source */
/** @typedef {{z: Float32Array, rows: Float32Array[]}} Style `z`: of the structure; `rows`: W+ of the texture */
/** @typedef {(z: Float32Array, truncation: number) => Promise<{z: Float32Array, w: Float32Array}>} MapStyle */

/**
 * All styles of a world, in the order of its layout.
 * @param {import("./document.js").CompleteWorld} world
 * @param {MapStyle} map the mapping network
 * @param {{globalChannels: number, styleRows: number}} sizes
 * @returns {Promise<Style[]>}
 */
export async function stylesOf(world, map, sizes) {
  const maker = new StyleMaker(map, sizes);
  if (!world.layout) {
    const { seed = world.seed, mix } = world.style ?? {};
    return [await maker.make({ seed, mix }, world.truncation)];
  }
  return Promise.all(
    world.layout.styles.map(async (style) => {
      const own = await maker.make(style, style.truncation ?? world.truncation);
      if (!style.texture) return own;
      const texture = await maker.make(style.texture, style.texture.truncation ?? world.truncation);
      return { z: own.z, rows: texture.rows };
    }),
  );
}

class StyleMaker {
  #map;
  #sizes;
  #last = Promise.resolve();

  /**
   * @param {MapStyle} map
   * @param {{globalChannels: number, styleRows: number}} sizes
   */
  constructor(map, sizes) {
    this.#map = map;
    this.#sizes = sizes;
  }

  /**
   * @param {Source} source
   * @param {number} truncation
   * @returns {Promise<Style>}
   */
  async make({ seed, latent, mix }, truncation) {
    const style = latent ? await this.#stored(latent, truncation) : await this.#drawn(seed, truncation);
    if (!mix) return style;
    const { w } = await this.#mapped(globalLatent(mix.seed, this.#sizes.globalChannels), truncation);
    return { z: style.z, rows: style.rows.map((row, i) => (i < mix.crossover ? row : w)) };
  }

  /**
   * @param {Seed | undefined} seed undefined: the mean style
   * @param {number} truncation
   * @returns {Promise<Style>}
   */
  async #drawn(seed, truncation) {
    const { globalChannels, styleRows } = this.#sizes;
    const latent = seed === undefined ? new Float32Array(globalChannels) : globalLatent(seed, globalChannels);
    const { z, w } = await this.#mapped(latent, seed === undefined ? 0 : truncation);
    return { z, rows: Array(styleRows).fill(w) };
  }

  /**
   * @param {any} latent
   * @param {number} truncation
   * @returns {Promise<Style>}
   */
  async #stored(latent, truncation) {
    const { w: mean } = await this.#mapped(new Float32Array(this.#sizes.globalChannels), 0);
    /** @type {(row: number[]) => Float32Array} */
    const truncated = (row) => mean.map((value, i) => value + truncation * (row[i] - value));
    return { z: Float32Array.from(latent.z_g, (value) => value * truncation), rows: latent.w_plus.map(truncated) };
  }

  /**
   * One at a time: a session runs one call at once.
   * @param {Float32Array} z
   * @param {number} truncation
   */
  #mapped(z, truncation) {
    const done = this.#last.then(() => this.#map(z, truncation));
    this.#last = done.then(() => undefined, () => undefined);
    return done;
  }
}

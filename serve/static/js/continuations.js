/** Continuations of photographs: the seeds of the surroundings of a job's anchors. */

/** @typedef {import("./api.js").World} World */
/** @typedef {import("./api.js").Seed} Seed */

/**
 * The seed of the continuation that a world shows; null without these photographs.
 * @param {World} world
 * @param {string[]} files of the latents of the photographs
 * @returns {Seed | null}
 */
export function continuationOf(world, files) {
  const anchor = world.anchors?.find(({ file }) => files.includes(file));
  return anchor ? (anchor.seed ?? world.seed) : null;
}

/**
 * @param {World} world
 * @param {string[]} files
 * @param {Seed} seed
 * @returns {World | null} null: the world does not have these photographs any more
 */
export function withContinuation(world, files, seed) {
  const shown = continuationOf(world, files);
  if (shown === null || !world.anchors) return null;
  if (shown === seed) return world;
  const anchors = world.anchors.map((anchor) => {
    if (!files.includes(anchor.file)) return anchor;
    const { seed: _, ...rest } = anchor;
    return seed === world.seed ? rest : { ...rest, seed };
  });
  return { ...world, anchors };
}

/** Pure changes of a world document: style centres, their transition, the style of the whole world. */

/** @typedef {import("./api.js").World} World */
/** @typedef {import("./api.js").Layout} Layout */
/** @typedef {import("./api.js").Style} Style */
/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {{x: number, y: number}} Point px of the world */

export const DEFAULT_TRANSITION = 129;
const OWN = "own"; // the world's style before its first centre
const PLAIN = ["name", "seed"];

/**
 * List the centres of a world with their styles; empty for a world of one style.
 * @param {World} world
 * @returns {{style: Style, x: number, y: number}[]}
 */
export function centresOf(world) {
  const styles = new Map((world.layout?.styles ?? []).map((style) => [style.name, style]));
  return (world.layout?.centres ?? []).map(({ style, x, y }) => {
    return { style: /** @type {Style} */ (styles.get(style)), x, y };
  });
}

/** @param {World} world */
export function transitionOf(world) {
  return world.layout?.transition ?? DEFAULT_TRANSITION;
}

/**
 * Add a centre with the style of `seed`. The first one also adds a centre of the world's own style at `rest`.
 * @param {World} world
 * @param {Seed} seed
 * @param {Point} point
 * @param {Point} rest
 * @returns {World}
 */
export function withCentre(world, seed, point, rest) {
  const layout = divided(world, rest);
  const found = layout.styles.find((style) => isPlain(style, seed));
  const style = found ?? { name: freeName(layout, `style ${seed}`), seed };
  const centre = { style: style.name, x: Math.round(point.x), y: Math.round(point.y) };
  return withLayout(world, {
    ...layout,
    styles: found ? layout.styles : [...layout.styles, style],
    centres: [...(layout.centres ?? []), centre],
  });
}

/**
 * @param {World} world
 * @param {number} index
 * @param {Point} point
 * @returns {World}
 */
export function withCentreMoved(world, index, point) {
  const { layout } = world;
  if (!layout?.centres?.[index]) return world;
  const { x, y } = { x: Math.round(point.x), y: Math.round(point.y) };
  const centres = layout.centres.map((centre, i) => (i === index ? { ...centre, x, y } : centre));
  return withLayout(world, { ...layout, centres });
}

/**
 * Remove a centre. Removing the last one removes the layout, so the world has its own style again.
 * @param {World} world
 * @param {number} index
 * @returns {World}
 */
export function withoutCentre(world, index) {
  const { layout } = world;
  if (!layout?.centres?.[index]) return world;
  const centres = layout.centres.filter((_, i) => i !== index);
  if (centres.length) {
    const used = new Set(centres.map((centre) => centre.style));
    return withLayout(world, { ...layout, styles: layout.styles.filter((style) => used.has(style.name)), centres });
  }
  const { layout: _, ...rest } = world;
  return rest;
}

/**
 * @param {World} world
 * @param {number} px odd
 * @returns {World}
 */
export function withTransition(world, px) {
  const { layout } = world;
  return !layout || layout.transition === px ? world : withLayout(world, { ...layout, transition: px });
}

/**
 * Return the layout; a new one gets a centre of the world's own style at `rest`.
 * @param {World} world
 * @param {Point} rest
 * @returns {Layout}
 */
function divided(world, rest) {
  const { layout } = world;
  if (layout?.painting) throw new Error("The styles of this world are painted; you cannot add pins.");
  if (layout?.centres?.length) return layout;
  const own = layout?.styles[0] ?? { name: OWN, seed: world.seed, ...world.style };
  const centres = [{ style: own.name, x: Math.round(rest.x), y: Math.round(rest.y) }];
  return { schema: 1, transition: transitionOf(world), styles: [own], centres };
}

/**
 * @param {World} world
 * @param {Layout} layout
 * @returns {World}
 */
function withLayout(world, layout) {
  const { style: _, ...rest } = world; // a world has either a style or a layout
  return { ...rest, layout };
}

/**
 * @param {Style} style
 * @param {Seed} seed
 */
function isPlain(style, seed) {
  return style.seed === seed && Object.keys(style).every((key) => PLAIN.includes(key));
}

/**
 * @param {Layout} layout
 * @param {string} wanted
 */
function freeName(layout, wanted) {
  const names = new Set(layout.styles.map((style) => style.name));
  let name = wanted;
  for (let i = 2; names.has(name); i += 1) name = `${wanted} (${i})`;
  return name;
}

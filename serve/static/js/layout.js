/** Pure changes of a world document: style centres, their transition, the style of the whole world. */

/** @typedef {import("./api.js").World} World */
/** @typedef {import("./api.js").Layout} Layout */
/** @typedef {import("./api.js").Style} Style */
/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {{x: number, y: number}} Point px of the world */
/** @typedef {import("./styles.js").Choice} Choice */

export const DEFAULT_TRANSITION = 129;
const OWN = "own"; // the world's style before its first centre
const PLAIN = ["name", "seed", "mix"];

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
 * Add a centre with a style. The first one also adds a centre of the world's own style at `rest`.
 * @param {World} world
 * @param {Choice} choice
 * @param {Point} point
 * @param {Point} rest
 * @returns {World}
 */
export function withCentre(world, choice, point, rest) {
  const { layout, name } = styled(divided(world, rest), choice);
  const centre = { style: name, x: Math.round(point.x), y: Math.round(point.y) };
  return withLayout(world, { ...layout, centres: [...(layout.centres ?? []), centre] });
}

/**
 * Return the layout with the style `choice`, and the style's name.
 * @param {Layout} layout
 * @param {Choice | {name: string}} choice a seed, or the name of one of its styles
 * @returns {{layout: Layout, name: string}}
 */
export function styled(layout, choice) {
  if ("name" in choice) return { layout, name: choice.name };
  const found = layout.styles.find((style) => isChoice(style, choice));
  if (found) return { layout, name: found.name };
  const mixed = choice.mix ? ` with ${choice.mix.seed}` : "";
  const style = { name: freeName(layout, `style ${choice.seed}${mixed}`), ...choice };
  return { layout: { ...layout, styles: [...layout.styles, style] }, name: style.name };
}

/**
 * Make a change of one centre that finds it again after changes of another window; null where it is gone.
 * @param {World} world as it is shown
 * @param {number} index of the centre
 * @param {(world: World, index: number) => World} act
 * @returns {(world: World) => World | null}
 */
export function onCentre(world, index, act) {
  const wanted = JSON.stringify(world.layout?.centres?.[index]);
  return (now) => {
    const found = (now.layout?.centres ?? []).findIndex((centre) => JSON.stringify(centre) === wanted);
    return found < 0 ? null : act(now, found);
  };
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
 * Remove a centre. After the last one, the world has its own style again, below any strokes.
 * @param {World} world
 * @param {number} index
 * @returns {World}
 */
export function withoutCentre(world, index) {
  const { layout } = world;
  if (!layout?.centres?.[index]) return world;
  const centres = layout.centres.filter((_, i) => i !== index);
  const strokes = layout.strokes ?? [];
  const used = new Set([...centres, ...strokes].map(({ style }) => style));
  const styles = layout.styles.filter((style) => used.has(style.name));
  if (centres.length) return withLayout(world, { ...layout, styles, centres });
  const { layout: _, ...rest } = world;
  if (!strokes.length) return rest;
  const own = { ...ownStyle(world), name: freeName({ ...layout, styles }, OWN) };
  return withLayout(world, { ...layout, styles: [own, ...styles], centres });
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
  const styles = layout?.styles ?? [ownStyle(world)];
  const centres = [{ style: styles[0].name, x: Math.round(rest.x), y: Math.round(rest.y) }];
  return { schema: 1, transition: transitionOf(world), ...layout, styles, centres };
}

/**
 * Return the style of a world before its first pin.
 * @param {World} world
 * @returns {Style}
 */
export function ownStyle(world) {
  return { name: OWN, seed: world.seed, ...world.style };
}

/**
 * @param {World} world
 * @param {Layout} layout
 * @returns {World}
 */
export function withLayout(world, layout) {
  const { style: _, ...rest } = world; // a world has either a style or a layout
  return { ...rest, layout };
}

/**
 * @param {Style} style
 * @param {Choice} choice
 */
function isChoice(style, { seed, mix }) {
  const same = style.seed === seed && style.mix?.seed === mix?.seed && style.mix?.crossover === mix?.crossover;
  return same && Object.keys(style).every((key) => PLAIN.includes(key));
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

/** The palette: style thumbnails to drag onto the canvas, and the list of centres. */

import { styleUrl } from "./api.js";
import {
  centresOf,
  onCentre,
  transitionOf,
  withCentre,
  withCentreMoved,
  withoutCentre,
  withTransition,
} from "./layout.js";
import { parseSeed } from "./link.js";
import { attempt, element, listen, load, spaced } from "./page.js";
import { startFavourites, startLikeness, startMixing, startSorting, startTruncation } from "./styles.js";
import { Pins, styleLabel, stylePicture } from "./pins.js";

const MORE = 24; // styles added per page
const LEAST_DRAG_PX = 6;

/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {import("./api.js").World} World */
/** @typedef {import("./layout.js").Point} Point */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./api.js").Info} info
 * @param {import("./brush.js").Brush} brush
 * @returns {Pins}
 */
export function startPalette(session, canvas, info, brush) {
  const swatches = element("swatches");
  /** @type {(index: number, act: (world: World, index: number) => World) => Promise<unknown>} */
  const change = (index, act) => session.edit(onCentre(session.current.world, index, act));
  const pins = new Pins(canvas.map, {
    moved: (index, point) => void attempt(() => change(index, (world, i) => withCentreMoved(world, i, point))),
    removed: (index) => void attempt(() => change(index, withoutCentre)),
  });

  const choiceOf = startMixing(info.levels && 2 * info.levels + 1);
  /** @type {(seed: Seed, point: Point) => Promise<unknown>} */
  const place = (seed, point) =>
    session.edit((world) => withCentre(world, choiceOf(seed), point, opposite(canvas, point)));
  /** @param {Seed} seed */
  const offer = (seed) =>
    swatch(seed, canvas, (point) => {
      if (!point && brush.mode !== "pin") brush.pick(choiceOf(seed));
      else void attempt(() => place(seed, point ?? freePoint(session, canvas)));
    });
  followBrush(brush, swatches);
  startFavourites(session, brush, (seed) => brush.pick(choiceOf(seed)));
  startSorting(swatches);
  startLikeness(swatches, offer);
  startTruncation(session);
  let offered = 0;
  const more = () => {
    for (const end = offered + MORE; offered < end; offered += 1) swatches.append(offer(offered));
  };

  more();
  listen(element("more-styles"), "click", more);
  startSeedForm(swatches, offer);
  followTransition(session, info.limits.transition);
  session.addEventListener("change", () => {
    const centres = centresOf(session.current.world);
    pins.show(centres);
    listCentres(centres, canvas, session);
  });
  return pins;
}

/**
 * Offer the style of a typed seed.
 * @param {HTMLElement} swatches
 * @param {(seed: Seed) => HTMLElement} offer
 */
function startSeedForm(swatches, offer) {
  listen(element("style-seed-form"), "submit", (event) => {
    event.preventDefault();
    const seed = parseSeed(element("style-seed", HTMLInputElement).value);
    if (seed === null) throw new Error("The seed of a style is a whole number of at most 64 bits.");
    const first = offer(seed);
    swatches.prepend(first);
    first.querySelector("button")?.focus();
    swatches.scrollTo(0, 0);
  });
}

/**
 * Mark the style of the brush, and say what a press on a picture does.
 * @param {import("./brush.js").Brush} brush
 * @param {HTMLElement} swatches
 */
function followBrush(brush, swatches) {
  const mark = () => {
    const { style, mode } = brush;
    const seed = style && "seed" in style ? String(style.seed) : null;
    for (const button of swatches.querySelectorAll("button")) {
      const does = mode === "pin" ? "place it in the middle of the view" : "paint with it";
      button.setAttribute("aria-label", `Style ${button.dataset.seed}: ${does}`);
      if (mode === "pin") button.removeAttribute("aria-pressed");
      else button.setAttribute("aria-pressed", String(button.dataset.seed === seed));
    }
  };
  brush.addEventListener("mode", mark);
  brush.addEventListener("style", mark);
  new MutationObserver(mark).observe(swatches, { childList: true });
}

/**
 * @param {import("./session.js").Session} session
 * @param {number} most px
 */
function followTransition(session, most) {
  const slider = element("transition", HTMLInputElement);
  slider.max = String(most);
  const say = () => (element("transition-px").textContent = `${slider.value} px`);
  slider.addEventListener("input", say);
  listen(slider, "change", () => session.edit((world) => withTransition(world, Number(slider.value))));
  session.addEventListener("change", () => {
    slider.value = String(transitionOf(session.current.world));
    slider.disabled = !session.current.world.layout;
    say();
  });
}

/**
 * Place the centre of the world's own style for the first dropped style: across the middle of the view.
 * @param {import("./canvas.js").Canvas} canvas
 * @param {Point} point
 * @returns {Point}
 */
function opposite(canvas, point) {
  const { x, y, w, h } = canvas.visible;
  const middle = { x: x + w / 2, y: y + h / 2 };
  const near = Math.hypot(point.x - middle.x, point.y - middle.y) < Math.min(w, h) / 8;
  return near ? { x: point.x - w / 3, y: point.y } : { x: 2 * middle.x - point.x, y: 2 * middle.y - point.y };
}

/**
 * Return the middle of the view, or a free place beside it.
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @returns {Point}
 */
function freePoint(session, canvas) {
  const { x, y, w, h } = canvas.visible;
  const step = w / 6;
  const point = { x: x + w / 2, y: y + h / 2 };
  const centres = centresOf(session.current.world);
  while (centres.some((centre) => Math.hypot(centre.x - point.x, centre.y - point.y) < step / 2)) point.x += step;
  return point;
}

/**
 * @param {Seed} seed
 * @param {import("./canvas.js").Canvas} canvas
 * @param {(point: Point | null) => void} place null: a free place in the view
 */
function swatch(seed, canvas, place) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "swatch";
  button.dataset.seed = String(seed);
  button.setAttribute("aria-label", `Style ${seed}: place it in the middle of the view`);
  const picture = document.createElement("img");
  Object.assign(picture, { alt: "", draggable: false, width: 96, height: 96 });
  load(picture, styleUrl(seed));
  const label = document.createElement("span");
  label.textContent = String(seed);
  button.append(picture, label);
  item.append(button);
  makeDraggable(button, picture, canvas, place);
  return item;
}

/**
 * Drag a copy of `picture` to the canvas; a click or a key places it in the middle of the view.
 * @param {HTMLButtonElement} button
 * @param {HTMLImageElement} picture
 * @param {import("./canvas.js").Canvas} canvas
 * @param {(point: Point | null) => void} place
 */
function makeDraggable(button, picture, canvas, place) {
  /** @type {HTMLElement | null} */
  let ghost = null;
  let from = { x: 0, y: 0 };
  let dropped = false;
  /** @param {PointerEvent} event */
  const follow = (event) => {
    if (!button.hasPointerCapture(event.pointerId)) return;
    if (!ghost && Math.hypot(event.clientX - from.x, event.clientY - from.y) < LEAST_DRAG_PX) return;
    ghost ??= carried(picture);
    ghost.style.translate = `${event.clientX}px ${event.clientY}px`;
  };
  const lose = () => {
    ghost?.remove();
    ghost = null;
  };
  button.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY };
    dropped = false;
    if (event.button === 0) button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", follow);
  button.addEventListener("pointercancel", lose);
  button.addEventListener("pointerup", (event) => {
    dropped = ghost !== null;
    lose();
    const under = document.elementFromPoint(event.clientX, event.clientY);
    if (dropped && under && canvas.element.contains(under)) place(canvas.pointAt(event.clientX, event.clientY));
  });
  button.addEventListener("click", () => {
    if (!dropped) place(null);
    dropped = false;
  });
}

/** @param {HTMLImageElement} picture */
function carried(picture) {
  const ghost = /** @type {HTMLElement} */ (picture.cloneNode());
  ghost.className = "carried";
  document.body.append(ghost);
  return ghost;
}

/**
 * @param {import("./pins.js").Placed[]} centres
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./session.js").Session} session
 */
function listCentres(centres, canvas, session) {
  element("placed").hidden = !centres.length;
  element("centres").replaceChildren(
    ...centres.map(({ style, x, y }, index) => {
      const item = document.createElement("li");
      const show = document.createElement("button");
      show.type = "button";
      show.className = "row";
      const words = document.createElement("span");
      words.textContent = styleLabel(style);
      const place = document.createElement("small");
      place.textContent = `${spaced(x)}, ${spaced(y)}`;
      show.append(stylePicture(style), words, place);
      show.addEventListener("click", () => canvas.goTo({ x, y }));
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "icon small";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${styleLabel(style)} at ${x}, ${y}`);
      listen(remove, "click", () => session.edit(onCentre(session.current.world, index, withoutCentre)));
      item.append(show, remove);
      return item;
    }),
  );
}

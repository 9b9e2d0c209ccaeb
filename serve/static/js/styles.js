/** Choose styles by picture: favourites with names, a mix of two styles, calm or wild, and garish colours last. */

import { describeWorld, stylesLike, styleUrl } from "./api.js";
import { parseSeed } from "./link.js";
import { element, listen, load, toast } from "./page.js";

const PLAIN = 45; // colourfulness up to which a picture looks like a photograph
const PALE = 12; // and from which
const SAMPLE_PX = 24;

/** @typedef {import("./api.js").Seed} Seed */
/** @typedef {{seed: Seed, mix?: {seed: Seed, crossover: number}}} Choice */

/**
 * Set how far styles may go from the mean style.
 * @param {import("./session.js").Session} session
 */
export function startTruncation(session) {
  const slider = element("truncation", HTMLInputElement);
  listen(slider, "change", () => session.edit((world) => ({ ...world, truncation: Number(slider.value) })));
  session.addEventListener("change", () => (slider.value = String(session.current.world.truncation ?? 1)));
}

/**
 * Mix every chosen style with a second one: coarse rows from the first, fine rows from the second.
 * @param {number | undefined} rows style rows of the model
 * @returns {(seed: Seed) => Choice} the choice for a pressed picture
 */
export function startMixing(rows) {
  const field = element("mix-seed", HTMLInputElement);
  const slider = element("mix-share", HTMLInputElement);
  element("mix").hidden = !rows;
  slider.max = String(rows ?? 1);
  slider.value = String(Math.ceil((rows ?? 1) / 2));
  return (seed) => {
    const other = parseSeed(field.value);
    if (other === null || !rows) return { seed };
    return { seed, mix: { seed: other, crossover: Number(slider.max) + 1 - Number(slider.value) } };
  };
}

/**
 * List the favourite styles of the world, and keep the chosen one.
 * @param {import("./session.js").Session} session
 * @param {import("./brush.js").Brush} brush
 * @param {(seed: Seed) => void} choose
 */
export function startFavourites(session, brush, choose) {
  const list = element("favourites");
  const button = element("favourite", HTMLButtonElement);
  /** @param {import("./api.js").Favourite[]} favourites */
  const keep = async (favourites) => {
    await describeWorld(session.current.id, { favourites });
    await session.refresh();
  };
  const show = () => {
    const { favourites = [] } = session.current;
    list.hidden = !favourites.length;
    list.replaceChildren(
      ...favourites.map((favourite) =>
        favouriteRow(favourite, {
          choose: () => choose(favourite.seed),
          rename: (name) =>
            keep(favourites.map((each) => (each === favourite ? { seed: each.seed, ...(name && { name }) } : each))),
          remove: () => keep(favourites.filter((each) => each !== favourite)),
        }),
      ),
    );
  };
  session.addEventListener("change", show);
  brush.addEventListener("style", () => (button.disabled = !brush.style || !("seed" in brush.style)));
  listen(button, "click", () => {
    const { style } = brush;
    const { favourites = [] } = session.current;
    if (!style || !("seed" in style) || favourites.some(({ seed }) => seed === style.seed)) return undefined;
    return keep([...favourites, { seed: style.seed }]);
  });
}

/**
 * @param {import("./api.js").Favourite} favourite
 * @param {{choose: () => void, rename: (name: string) => Promise<void>, remove: () => Promise<void>}} actions
 */
function favouriteRow({ seed, name = "" }, { choose, rename, remove }) {
  const item = document.createElement("li");
  const pick = document.createElement("button");
  pick.type = "button";
  pick.className = "icon";
  pick.setAttribute("aria-label", `Use the favourite ${name || seed}`);
  const picture = document.createElement("img");
  Object.assign(picture, { alt: "", className: "style-picture", draggable: false });
  load(picture, styleUrl(seed));
  pick.append(picture);
  pick.addEventListener("click", choose);
  const field = document.createElement("input");
  Object.assign(field, { value: name, placeholder: `Style ${seed}`, maxLength: 80 });
  field.setAttribute("aria-label", `Name of style ${seed}`);
  listen(field, "change", () => rename(field.value.trim()));
  const bin = document.createElement("button");
  bin.type = "button";
  bin.className = "icon small";
  bin.textContent = "×";
  bin.setAttribute("aria-label", `Remove the favourite ${name || seed}`);
  listen(bin, "click", remove);
  item.append(pick, field, bin);
  return item;
}

/**
 * Sort the pictures of styles: those whose colours are far from photographs come last.
 * @param {HTMLElement} swatches
 */
export function startSorting(swatches) {
  const box = element("garish-last", HTMLInputElement);
  listen(box, "change", () => {
    const items = [...swatches.children];
    const key = box.checked ? garishness : seedOf;
    const sorted = items.map((item) => ({ item, value: key(item) })).sort((a, b) => a.value - b.value);
    swatches.replaceChildren(...sorted.map(({ item }) => item));
  });
}

/** @param {Element} item */
function seedOf(item) {
  return Number(item.querySelector("button")?.dataset.seed);
}

/**
 * Distance of the colourfulness (Hasler and Süsstrunk, 2003) of a picture from the range of photographs.
 * @param {Element} item
 * @returns {number} 0 within the range; infinite while the picture is not loaded
 */
function garishness(item) {
  const picture = item.querySelector("img");
  if (!picture?.complete || !picture.naturalWidth) return Infinity;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SAMPLE_PX;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, 0, 0, SAMPLE_PX, SAMPLE_PX);
  const { data } = context.getImageData(0, 0, SAMPLE_PX, SAMPLE_PX);
  /** @type {number[]} */
  const redGreen = [];
  /** @type {number[]} */
  const yellowBlue = [];
  for (let i = 0; i < data.length; i += 4) {
    redGreen.push(data[i] - data[i + 1]);
    yellowBlue.push((data[i] + data[i + 1]) / 2 - data[i + 2]);
  }
  const [a, b] = [statistics(redGreen), statistics(yellowBlue)];
  const found = Math.hypot(a.deviation, b.deviation) + 0.3 * Math.hypot(a.mean, b.mean);
  return Math.max(0, found - PLAIN, PALE - found);
}

/** @param {number[]} values */
function statistics(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

/**
 * Show the styles that are like a photograph before all others.
 * @param {HTMLElement} swatches
 * @param {(seed: Seed) => HTMLElement} offer
 */
export function startLikeness(swatches, offer) {
  const input = element("like-photo", HTMLInputElement);
  listen(input, "change", async () => {
    const photo = input.files?.[0];
    input.value = "";
    if (!photo) return;
    toast("Comparing styles with the photograph …");
    const found = await stylesLike(photo);
    swatches.prepend(...found.map(({ seed }) => offer(seed)));
    swatches.scrollTo(0, 0);
    toast("The first styles are those most like the photograph.");
  });
}

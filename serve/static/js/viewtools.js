/** Tools of the view: copy or save it, full screen, bookmarks, a grid, and a ruler. */

import { startDropsAnywhere } from "./anywhere.js";
import { toLatLng } from "./canvas.js";
import { around, strokeBox } from "./changes.js";
import { startOverview } from "./overview.js";
import { attempt, element, listen, saveFile, spaced, toast } from "./page.js";
import { drawArea } from "./pictures.js";
import { isTyping } from "./region.js";

const KEY = "infgen-places";
const MOST_PLACES = 50;
const GRID_PX = 120; // least distance of lines on the screen

/** @typedef {{name: string, world: string, x: number, y: number, z: number}} Place */

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./api.js").Zoom} zoom
 */
export function startViewTools(session, canvas, zoom) {
  const picture = () => drawArea(session.current, canvas.visible, Math.min(0, canvas.map.getZoom()));
  listen(element("view-copy"), "click", async () => {
    const image = picture().then(blobOf);
    await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
    toast("The view is copied as a picture.");
  });
  listen(element("view-save"), "click", async () => saveFile(await blobOf(await picture()), "view.png"));
  listen(element("view-full"), "click", () =>
    document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
  );
  listen(element("view-fit"), "click", () => {
    const area = around(boxesOf(session.current.world));
    if (area) canvas.fit(area);
    else toast("This world has no pins, strokes or changed parts to show.");
  });
  startOverview(session, canvas, zoom, boxesOf);
  startGrid(canvas);
  startRuler(canvas);
  startPlaces(session, canvas);
  startShortcuts();
  startDropsAnywhere();
}

/**
 * Return the rectangles around everything that a person placed in a world: changed parts, pins and strokes.
 * @param {import("./api.js").World} world
 * @returns {import("./api.js").Rect[]}
 */
function boxesOf({ layout, edits = [] }) {
  const boxes = edits.map(({ x, y, w, h }) => ({ x, y, w, h }));
  for (const { x, y } of layout?.centres ?? []) boxes.push({ x, y, w: 1, h: 1 });
  for (const stroke of layout?.strokes ?? []) boxes.push(strokeBox(stroke, 0));
  return boxes;
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function blobOf(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The view is too large for a picture."))));
  });
}

/** @param {import("./canvas.js").Canvas} canvas */
function startGrid(canvas) {
  const box = element("view-grid", HTMLInputElement);
  const group = L.layerGroup();
  const draw = () => {
    group.clearLayers();
    if (!box.checked) return;
    const bounds = canvas.rectOf(L.point(0, 0), canvas.map.getSize());
    const step = 2 ** Math.ceil(Math.log2(GRID_PX) - canvas.map.getZoom());
    const [right, bottom] = [bounds.x + bounds.w, bounds.y + bounds.h];
    /** @param {[number, number][]} ends */
    const line = (ends) =>
      group.addLayer(L.polyline(ends.map(([x, y]) => toLatLng(x, y)), { className: "grid-line", interactive: false }));
    for (let x = Math.ceil(bounds.x / step) * step; x < right; x += step) line([[x, bounds.y], [x, bottom]]);
    for (let y = Math.ceil(bounds.y / step) * step; y < bottom; y += step) line([[bounds.x, y], [right, y]]);
    element("view-grid-px").textContent = `every ${spaced(step)} px`;
  };
  group.addTo(canvas.map);
  listen(box, "change", draw);
  canvas.addEventListener("move", draw);
}

/**
 * Measure the distance between two presses on the canvas.
 * @param {import("./canvas.js").Canvas} canvas
 */
function startRuler(canvas) {
  const box = element("view-ruler", HTMLInputElement);
  const line = L.polyline([], { className: "ruler-line", interactive: false });
  /** @type {L.LatLng[]} */
  let ends = [];
  const clear = () => {
    ends = [];
    line.remove();
    element("view-ruler-px").textContent = box.checked ? "press two places" : "";
  };
  listen(box, "change", clear);
  canvas.map.on("click", ({ latlng }) => {
    if (!box.checked) return;
    ends = ends.length === 1 ? [ends[0], latlng] : [latlng];
    line.setLatLngs(ends).addTo(canvas.map);
    if (ends.length < 2) return;
    const [dx, dy] = [ends[1].lng - ends[0].lng, ends[0].lat - ends[1].lat];
    element("view-ruler-px").textContent =
      `${spaced(Math.hypot(dx, dy))} px (${spaced(Math.abs(dx))} × ${spaced(Math.abs(dy))})`;
  });
}

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
function startPlaces(session, canvas) {
  const list = element("places");
  /** @type {Place[]} */
  let places = readPlaces();
  /** @param {Place[]} changed */
  const keep = (changed) => {
    places = changed.slice(0, MOST_PLACES);
    localStorage.setItem(KEY, JSON.stringify(places));
    list.replaceChildren(...places.map(row));
  };
  /** @param {Place} place */
  const row = (place) => {
    const item = document.createElement("li");
    const go = document.createElement("button");
    go.type = "button";
    go.className = "place";
    go.textContent = place.name;
    listen(go, "click", async () => {
      if (session.current.id !== place.world) await session.open(place.world);
      canvas.goTo(place);
    });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "icon small";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove the bookmark ${place.name}`);
    listen(remove, "click", () => keep(places.filter((other) => other !== place)));
    item.append(go, remove);
    return item;
  };
  listen(element("view-keep"), "click", () => {
    const { x, y, z } = canvas.view;
    const { id, name } = session.current;
    keep([{ name: `${name}, ${spaced(x)}, ${spaced(y)}`, world: id, x, y, z }, ...places]);
  });
  keep(places);
}

/** @returns {Place[]} */
function readPlaces() {
  try {
    /** @type {Place[]} */
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return stored.filter(({ world, x, y, z }) => world && [x, y, z].every(Number.isFinite));
  } catch {
    return [];
  }
}

/** Open the list of shortcuts with "?", and the full screen with "f". */
function startShortcuts() {
  document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
    if (ctrlKey || metaKey || altKey || isTyping(target) || document.querySelector("dialog[open]")) return;
    if (key === "?") element("help-dialog", HTMLDialogElement).showModal();
    if (key === "f") void attempt(() => element("view-full").click());
  });
}

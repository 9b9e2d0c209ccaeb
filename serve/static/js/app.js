/** Start the page: choose world and place, and connect the parts by events. */

import * as api from "./api.js";
import { Brush } from "./brush.js";
import { Canvas } from "./canvas.js";
import { startExporting } from "./export.js";
import { limitFeatures } from "./features.js";
import { startHistory } from "./history.js";
import { startJobPanel } from "./jobpanel.js";
import { Jobs } from "./jobs.js";
import { formatLink, parseLink, parsePx } from "./link.js";
import { attempt, element, listen, spaced, startPanels, toast } from "./page.js";
import { startPalette } from "./palette.js";
import { startPhotographs } from "./photo.js";
import { RectanglePicker } from "./rectangle.js";
import { startResampling } from "./resample.js";
import { Session } from "./session.js";
import { pack, unpack } from "./sharing.js";
import { startTheme } from "./theme.js";
import { Trail } from "./trail.js";
import { startViewTools } from "./viewtools.js";
import { startWaiting } from "./waiting.js";
import { startWorldFiles } from "./worldfile.js";
import { startWorlds } from "./worlds.js";

const WITH_RECTANGLE = new Set(["resample", "export"]);

const session = new Session();
const trail = new Trail();

async function start() {
  startTheme();
  const info = await readInfo();
  limitFeatures(info);
  const canvas = new Canvas(element("canvas"), info, (error) => toast(error.message, { kind: "error" }));
  const picker = new RectanglePicker(canvas);
  const brush = new Brush(session, canvas, info);
  const pins = startPalette(session, canvas, info, brush);
  const resampling = startResampling(session, canvas, picker, info);
  const jobs = new Jobs();
  const started = () => panels.show("jobs");
  startExporting(session, canvas, picker, { info, jobs, started });
  const photographs = startPhotographs(session, canvas, jobs, { info, started });
  startJobPanel(jobs, session, canvas, info);
  const panels = startPanels((open) => {
    pins.visible(open === "styles");
    brush.visible(open === "styles");
    picker.show(WITH_RECTANGLE.has(open ?? ""));
    resampling.visible(open === "resample");
    photographs.visible(open === "photo");
    if (open === "jobs") void jobs.start();
    if (open === "worlds") void attempt(() => Promise.all([listWorlds(), listHistory()]));
  });
  const listWorlds = startWorlds(session, canvas, { opened: panels.close, zoom: info.zoom });
  const listHistory = startHistory(session, canvas, info.zoom);
  startWorldFiles(session, canvas, panels.close);
  startKeys(panels);
  const home = { x: 0, y: 0, z: info.zoom.first };
  startBar(canvas, home, info.zoom);
  session.addEventListener("change", () => showWorld(canvas));
  session.addEventListener("busy", () => document.body.classList.add("pending"));
  session.addEventListener("idle", () => document.body.classList.remove("pending"));
  canvas.addEventListener("move", () => showPlace(canvas));
  startWaiting(canvas, api.connection);
  const place = parseLink(location.hash);
  canvas.goTo({ ...home, ...place });
  await openWorld(place);
  void jobs.start();
  listen(window, "hashchange", () => follow(canvas));
}

/** Read what the server can do, as soon as it is there. */
async function readInfo() {
  for (;;) {
    try {
      return await api.info();
    } catch (error) {
      if (!(error instanceof api.ApiError) || (error.status !== 0 && error.status !== 503)) throw error;
      element("connection").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (error.wait || 1)));
      element("connection").hidden = true;
    }
  }
}

/**
 * Open the world of a link; otherwise one with its document or seed, the last changed world, or a new one.
 * @param {import("./link.js").Place} place
 */
async function openWorld({ world, seed, doc }) {
  if (world !== undefined) {
    try {
      return await session.open(world);
    } catch (error) {
      if (!isMissing(error) || (seed ?? doc) === undefined) throw error;
      if (doc === undefined) toast("The world of this link is not stored here. A new world has the same seed.");
    }
  }
  if (doc !== undefined) return session.create({ world: await unpack(doc) });
  if (seed !== undefined) return session.create({ world: { seed } });
  const entries = await api.worlds();
  const [newest] = entries.sort((a, b) => b.modified.localeCompare(a.modified));
  return newest ? session.open(newest.id) : session.create({ world: { seed: 0 } });
}

/** @param {unknown} error */
const isMissing = (error) => error instanceof api.ApiError && error.status === 404;

/**
 * Follow an edited address.
 * @param {Canvas} canvas
 */
async function follow(canvas) {
  const place = parseLink(location.hash);
  const { record } = session;
  const { world, seed = record?.world.seed ?? 0 } = place;
  if (world !== undefined) trail.follow({ ...canvas.view, ...place, world, seed });
  const moved = { ...canvas.view, ...place };
  if (world !== record?.id) await openWorld(place);
  canvas.goTo(moved);
}

/** @param {Canvas} canvas */
function showWorld(canvas) {
  const { name, can_undo: undoable, can_redo: redoable, world } = session.current;
  element("world-title").textContent = name;
  element("seed").textContent = `seed ${world.seed}`;
  element("undo", HTMLButtonElement).disabled = !undoable;
  element("redo", HTMLButtonElement).disabled = !redoable;
  document.title = `${name} · infgen`;
  canvas.show(session.saved);
  showPlace(canvas);
}

/** @param {Canvas} canvas */
function showPlace(canvas) {
  const { x, y, z } = canvas.view;
  element("place").textContent = `${spaced(x)}, ${spaced(y)}`;
  element("scale").textContent = z < 0 ? `1 : ${spaced(2 ** -z)}` : `${100 * 2 ** z} %`;
  const { record } = session;
  if (!record) return;
  trail.show({ world: record.id, seed: record.world.seed, x, y, z }, canvas.visible);
}

/**
 * @param {Canvas} canvas
 * @param {{x: number, y: number, z: number}} home where the page opens
 * @param {api.Zoom} zoom
 */
function startBar(canvas, home, zoom) {
  startViewTools(session, canvas, zoom);
  listen(element("undo"), "click", () => session.undo());
  listen(element("redo"), "click", () => session.redo());
  listen(element("zoom-in"), "click", () => canvas.map.zoomIn());
  listen(element("zoom-out"), "click", () => canvas.map.zoomOut());
  listen(element("home"), "click", () => canvas.goTo(home));
  listen(element("share"), "click", async () => {
    const { id: world, world: document } = session.current;
    const place = { world, seed: document.seed, ...canvas.view, doc: await pack(document) };
    await navigator.clipboard.writeText(new URL(formatLink(place), location.href).href);
    toast("The link to this place is copied.");
  });
  const help = element("help-dialog", HTMLDialogElement);
  listen(element("help"), "click", () => help.showModal());
  startGoTo(canvas);
}

/** @param {Canvas} canvas */
function startGoTo(canvas) {
  const dialog = element("go-dialog", HTMLDialogElement);
  const [x, y] = [element("go-x", HTMLInputElement), element("go-y", HTMLInputElement)];
  listen(element("position"), "click", () => {
    [x.value, y.value] = [String(canvas.view.x), String(canvas.view.y)];
    dialog.showModal();
    x.select();
  });
  listen(element("go-form"), "submit", () => {
    const place = { x: parsePx(x.value), y: parsePx(y.value) };
    if (place.x === null || place.y === null) throw new Error("Positions are whole numbers of px within ±2^40.");
    canvas.goTo({ x: place.x, y: place.y });
  });
}

/** @param {{close: () => void, isOpen: () => boolean}} panels */
function startKeys(panels) {
  const leave = () => {
    if (document.querySelector("dialog[open]")) return; // it closes itself
    if (!RectanglePicker.stop() && panels.isOpen()) panels.close();
  };
  listen(document, "keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") return leave();
    const change = changeOf(event);
    if (!change) return undefined;
    event.preventDefault();
    return change === "redo" ? session.redo() : session.undo();
  });
}

/**
 * Handle keyboard shortcuts, except while typing in a field.
 * @param {KeyboardEvent} event
 */
function changeOf({ key, target, ctrlKey, metaKey, altKey, shiftKey }) {
  const typing = target instanceof HTMLInputElement && target.type !== "range";
  if (typing || altKey || !(ctrlKey || metaKey)) return null;
  if (key.toLowerCase() === "y") return "redo";
  if (key.toLowerCase() !== "z") return null;
  return shiftKey ? "redo" : "undo";
}

void attempt(start);

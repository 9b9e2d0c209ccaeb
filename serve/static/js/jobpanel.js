/** The panel of jobs: one row each, with a picture, its progress, its result or error, and continuations to choose from. */

import * as api from "./api.js";
import { isOpen } from "./jobs.js";
import { continuationOf, withContinuation } from "./continuations.js";
import { element, listen, load, toast } from "./page.js";

/** @typedef {import("./jobs.js").Jobs} Jobs */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./canvas.js").Canvas} Canvas */
/** @typedef {{jobs: Jobs, session: Session, canvas: Canvas, info: api.Info}} Page */

const SOON_S = 3;
const TILE_PX = 256;
/** @type {Record<string, string>} */
const KINDS = { export: "Export", outpaint: "Photograph", inbetween: "Joined photographs", picture: "Picture" };

/**
 * @param {import("./jobs.js").Jobs} jobs
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {api.Info} info
 */
export function startJobPanel(jobs, session, canvas, info) {
  const list = element("jobs");
  /** @type {Map<string, {row: HTMLElement, shape: string}>} */
  const rows = new Map();
  const show = () => {
    const count = jobs.list.filter(isOpen).length;
    element("jobs-count").textContent = count ? String(count) : "";
    element("jobs-none").hidden = jobs.list.length > 0;
    for (const id of rows.keys()) if (!jobs.list.some((job) => job.id === id)) rows.delete(id);
    for (const job of jobs.list) {
      const shape = shapeOf(job, session);
      const known = rows.get(job.id);
      if (known?.shape !== shape) rows.set(job.id, { row: newRow(job, { jobs, session, canvas, info }), shape });
      follow(/** @type {{row: HTMLElement}} */ (rows.get(job.id)).row, job);
    }
    const wanted = jobs.list.map((job) => /** @type {{row: HTMLElement}} */ (rows.get(job.id)).row);
    if (wanted.length !== list.children.length || wanted.some((row, i) => list.children[i] !== row)) {
      list.replaceChildren(...wanted);
    }
  };
  jobs.addEventListener("change", show);
  session.addEventListener("change", show);
  listen(jobs, "ended", ({ detail }) => arrive(detail, { jobs, session, canvas, info }));
}

/**
 * What the parts of a row depend on, besides its progress.
 * @param {api.Job} job
 * @param {import("./session.js").Session} session
 */
function shapeOf(job, session) {
  const { record } = session;
  const chosen = record?.id === job.world ? continuationOf(record.world, job.anchors) : null;
  return JSON.stringify([job.state, job.world_name, job.continuations, String(chosen), job.error, job.result]);
}

/**
 * @param {api.Job} job
 * @param {Page} page
 */
function newRow(job, { jobs, session, canvas, info }) {
  const row = document.createElement("li");
  row.className = "job";
  row.dataset.id = job.id;
  row.dataset.state = job.state;
  const head = document.createElement("div");
  head.className = "job-head";
  const words = document.createElement("div");
  words.className = "job-title";
  words.append(textOf("strong", job.name || KINDS[job.kind]), textOf("small", `${KINDS[job.kind]} · ${worldOf(job)}`));
  const end = smallButton(isOpen(job) ? "Cancel" : "×", `${isOpen(job) ? "Cancel" : "Remove"} ${job.name}`);
  listen(end, "click", () => jobs.cancel(job));
  head.append(pictureOf(job, info), words, end);
  row.append(head);
  if (isOpen(job)) {
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.setAttribute("aria-label", `Progress of ${job.name}`);
    row.append(bar);
  }
  const line = textOf("p", "");
  line.className = "job-words";
  row.append(line, ...results(job, { jobs, session, canvas, info }));
  return row;
}

/** @param {api.Job} job */
const worldOf = (job) => job.world_name ?? "a deleted world";

/**
 * Buttons of an ended job, and its continuations.
 * @param {api.Job} job
 * @param {Page} page
 */
function results(job, { jobs, session, canvas }) {
  /** @type {HTMLElement[]} */
  const parts = [];
  if (job.continuations.length > 1) parts.push(choices(job, session));
  if (job.state !== "done") return parts;
  const actions = document.createElement("div");
  actions.className = "pair";
  if (job.region && job.world_name !== null) {
    const show = smallButton("Show it", `Show ${job.name} in its world`);
    listen(show, "click", () => goTo(job, session, canvas));
    actions.append(show);
  }
  if (job.kind === "outpaint" && job.sides) {
    const make = smallButton("Download this picture", `Make a picture of ${job.name} as it is chosen now`);
    listen(make, "click", async () => {
      await visit(job, session);
      jobs.add(await api.startPicture(session.current, { anchor: job.anchors[0], ...job.sides }));
    });
    actions.append(make);
  } else if (job.result) {
    const link = document.createElement("a");
    link.className = "button primary job-result";
    link.href = api.fileUrl(job.result);
    link.download = job.name;
    link.textContent = "Download";
    actions.append(link);
  }
  parts.push(actions);
  return parts;
}

/**
 * @param {api.Job} job
 * @param {import("./session.js").Session} session
 */
function choices(job, session) {
  const strip = document.createElement("div");
  strip.className = "continuations";
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", "Continuations");
  const { record } = session;
  const own = record?.id === job.world ? record.world : null;
  strip.append(
    ...job.continuations.map(({ seed, picture }, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `Continuation ${i + 1}`);
      const image = document.createElement("img");
      image.alt = "";
      void load(image, api.fileUrl(picture));
      button.append(image);
      if (own) button.setAttribute("aria-pressed", String(continuationOf(own, job.anchors) === seed));
      listen(button, "click", async () => {
        await visit(job, session);
        await session.edit((world) => withContinuation(world, job.anchors, seed));
      });
      return button;
    }),
  );
  return strip;
}

/**
 * Open the world of a job.
 * @param {api.Job} job
 * @param {import("./session.js").Session} session
 */
async function visit(job, session) {
  if (session.record?.id !== job.world) await session.open(job.world);
}

/**
 * @param {api.Job} job
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
async function goTo(job, session, canvas) {
  await visit(job, session);
  if (job.region) canvas.fit(job.region);
}

/**
 * Say what has become of a job. Photographs appear in the world that they were sent to.
 * @param {api.Job} job
 * @param {Page} page
 */
async function arrive(job, { jobs, session, canvas }) {
  if (job.state === "failed") toast(`${job.name}: ${job.error}`, { kind: "error" });
  if (job.state !== "done") return;
  if (!job.anchors.length) {
    if (jobs.isOwn(job)) toast(`${job.name}: the picture is ready.`);
    return;
  }
  if (session.record?.id !== job.world) {
    toast(`${job.name} is part of ${worldOf(job)} now.`);
    return;
  }
  await session.refresh();
  if (jobs.isOwn(job) && job.region) canvas.fit(job.region);
  const one = job.anchors.length === 1;
  toast(
    one
      ? "The photograph is part of this world now. Undo removes it."
      : "The photographs are part of this world now. Undo removes them.",
  );
}

/**
 * @param {HTMLElement} row
 * @param {api.Job} job
 */
function follow(row, job) {
  const bar = row.querySelector("progress");
  const { done, total } = job.progress;
  if (bar && total) bar.value = done / total;
  else bar?.removeAttribute("value");
  const line = /** @type {HTMLElement} */ (row.querySelector(".job-words"));
  line.textContent = wordsOf(job);
  line.hidden = !line.textContent;
  const image = /** @type {HTMLImageElement} */ (row.querySelector(".job-picture"));
  if (!job.preview || !isOpen(job)) return;
  image.classList.remove("waiting");
  image.src = api.fileUrl(job.preview);
}

/** @param {api.Job} job */
function wordsOf(job) {
  if (job.state === "failed") return job.error ?? "It failed.";
  return job.state === "running" ? progressOf(job) : WORDS[job.state];
}

/** @type {Record<string, string>} */
const WORDS = { done: "", cancelled: "Cancelled", queued: "Waiting for its turn" };

/** @param {api.Job} job */
function progressOf(job) {
  const { done, total } = job.progress;
  if (!total) return job.stage ?? "Preparing";
  const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
  const part = job.kind === "export" ? `${Math.floor((100 * done) / total)} %` : `step ${done} of ${total}`;
  const quality = job.terms.psnr === undefined ? "" : `, ${job.terms.psnr.toFixed(1)} dB`;
  return `${job.stage ?? "Drawing"}: ${part}${quality}${left}`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < SOON_S) return "moments";
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/**
 * The live picture, the first continuation, or the tile in the middle of the region.
 * @param {api.Job} job
 * @param {api.Info} info
 */
function pictureOf(job, info) {
  const image = document.createElement("img");
  image.className = "job-picture";
  image.alt = "";
  if (job.continuations.length) void load(image, api.fileUrl(job.continuations[0].picture));
  else if (job.preview) image.src = api.fileUrl(job.preview);
  else if (job.region && job.revision && job.world_name !== null) {
    const { x, y, w, h } = job.region;
    const z = Math.max(info.zoom.min, Math.min(0, -Math.ceil(Math.log2(Math.max(w, h) / TILE_PX))));
    const side = TILE_PX * 2 ** -z;
    const world = { id: job.world, revision: job.revision };
    void load(image, api.tileUrl(world, z, Math.floor((x + w / 2) / side), Math.floor((y + h / 2) / side)));
  } else image.classList.add("waiting");
  return image;
}

/**
 * @param {string} tag
 * @param {string} text
 */
function textOf(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/**
 * @param {string} text
 * @param {string} label
 */
function smallButton(text, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-label", `${text === "×" ? "" : `${text}: `}${label}`);
  return button;
}

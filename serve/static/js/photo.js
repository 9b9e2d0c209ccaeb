/** The panel that adds photographs to the world: continue one or join two, with a live preview. */

import * as api from "./api.js";
import { startDrop } from "./drop.js";
import { JobBar } from "./jobs.js";
import { parsePx } from "./link.js";
import { element, listen, toast } from "./page.js";

const MARGINS = ["left", "right", "top", "bottom"];

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
export function startPhotographs(session, canvas) {
  const [first, second] = [startDrop(element("photo-drop")), startDrop(element("photo-second-drop"))];
  const start = element("photo-start", HTMLButtonElement);
  const live = element("photo-live", HTMLImageElement);
  const bar = new JobBar(element("photo-job"));
  startPlace(canvas);
  startSecond(second);
  listen(first, "change", () => (start.disabled = !chosen(first)));
  listen(element("photo-form", HTMLFormElement), "submit", async (event) => {
    event.preventDefault();
    const photos = [first, second].map(chosen).filter((file) => file !== undefined);
    start.disabled = true;
    try {
      const job = await send(session.current, photos);
      const ended = await bar.run(job, { done: stepWords, told: (news) => showLive(live, news) });
      if (ended.state === "done") await arrive(session, canvas, ended, photos.length);
    } finally {
      start.disabled = !chosen(first);
      live.hidden = true;
    }
  });
}

/** @param {HTMLInputElement} input */
const chosen = (input) => input.files?.[0];

/**
 * Set up the field for the left edge of the first photograph; it may be empty.
 * @param {import("./canvas.js").Canvas} canvas
 */
function startPlace(canvas) {
  const x = element("photo-x", HTMLInputElement);
  listen(element("photo-here"), "click", () => (x.value = String(canvas.visible.x)));
}

/**
 * With a second photograph there is a gap instead of margins.
 * @param {HTMLInputElement} second
 */
function startSecond(second) {
  const [margins, gap] = [element("photo-margins", HTMLFieldSetElement), element("photo-between", HTMLFieldSetElement)];
  listen(second, "change", () => {
    const joined = chosen(second) !== undefined;
    margins.hidden = margins.disabled = joined; // disabled fields are not validated
    gap.hidden = gap.disabled = !joined;
    element("photo-drops").classList.toggle("both", joined);
    element("photo-start").textContent = joined ? "Join them" : "Continue it";
  });
  listen(element("photo-without"), "click", () => {
    second.value = "";
    second.dispatchEvent(new Event("change"));
    second.focus();
  });
}

/**
 * @param {api.WorldRecord} record
 * @param {File[]} photos one or two
 */
function send(record, photos) {
  const body = new FormData();
  const joined = photos.length > 1;
  for (const photo of photos) body.append(joined ? "photos" : "photo", photo);
  for (const name of joined ? ["gap"] : MARGINS) {
    body.append(name, element(`photo-${name}`, HTMLInputElement).value || "0");
  }
  body.append("steps", element("photo-steps", HTMLSelectElement).value);
  const x = element("photo-x", HTMLInputElement).value.trim();
  if (x && parsePx(x) === null) throw new Error("The left edge is a whole number of px within ±2^40, or empty.");
  if (x) body.append("x", x);
  return joined ? api.startInbetween(record, body) : api.startOutpaint(record, body);
}

/**
 * Show the added photographs.
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {api.Job} job
 * @param {number} count
 */
async function arrive(session, canvas, job, count) {
  await session.refresh();
  if (job.region) canvas.fit(job.region);
  toast(
    count > 1
      ? "The photographs are part of this world now. Undo removes them."
      : "The photograph is part of this world now. Undo removes it.",
  );
}

/**
 * @param {HTMLImageElement} live
 * @param {api.Job} job
 */
function showLive(live, job) {
  if (!job.preview) return;
  live.src = api.fileUrl(job.preview);
  live.hidden = false;
}

/** @param {api.Job} job */
function stepWords({ progress, terms }) {
  const psnr = terms.psnr === undefined ? "" : `, ${terms.psnr.toFixed(1)} dB`;
  return `Step ${progress.done} of ${progress.total}${psnr}`;
}

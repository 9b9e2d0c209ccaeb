/** The panel that continues a photograph: upload, margins, live preview, and the place where it then lies. */

import * as api from "./api.js";
import { JobBar } from "./jobs.js";
import { element, listen, toast } from "./page.js";

const MARGINS = ["left", "right", "top", "bottom"];
const PREVIEW_PX = 640; // longest side of the picture that is shown before it is sent

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 */
export function startPhotographs(session, canvas) {
  const form = element("photo-form", HTMLFormElement);
  const input = element("photo-file", HTMLInputElement);
  const start = element("photo-start", HTMLButtonElement);
  const live = element("photo-live", HTMLImageElement);
  const bar = new JobBar(element("photo-job"));
  acceptDrops(element("photo-drop"), input);
  listen(input, "change", async () => {
    start.disabled = !input.files?.length;
    await showChosen(input.files?.[0]);
  });
  listen(form, "submit", async (event) => {
    event.preventDefault();
    const file = input.files?.[0];
    if (!file) return;
    start.disabled = true;
    try {
      const job = await api.startOutpaint(session.current, request(file));
      const ended = await bar.run(job, { done: stepWords, told: (news) => showLive(live, news) });
      if (ended.state === "done") await arrive(session, canvas, ended);
    } finally {
      start.disabled = false;
      live.hidden = true;
    }
  });
}

/** @param {File} file */
function request(file) {
  const body = new FormData();
  body.append("photo", file);
  for (const side of MARGINS) body.append(side, element(`photo-${side}`, HTMLInputElement).value || "0");
  body.append("steps", element("photo-steps", HTMLSelectElement).value);
  return body;
}

/**
 * The photograph lies in the world now: go and see it.
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {api.Job} job
 */
async function arrive(session, canvas, job) {
  await session.refresh();
  if (job.region) canvas.fit(job.region);
  toast("The photograph is part of this world now. Undo takes it out again.");
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

/** @param {File | undefined} file */
async function showChosen(file) {
  const canvas = element("photo-chosen", HTMLCanvasElement);
  canvas.hidden = true;
  element("photo-hint").textContent = file ? file.name : "Choose a photograph, or drop one here";
  if (!file) return;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return; // the server knows more kinds, and says what is wrong with the others
  const scale = Math.min(1, PREVIEW_PX / Math.max(picture.width, picture.height));
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  picture.close();
}

/**
 * @param {HTMLElement} place
 * @param {HTMLInputElement} input
 */
function acceptDrops(place, input) {
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (!event.dataTransfer?.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change"));
  });
}

/** The panel that exports a rectangle of any size: format, estimate, progress, download. */

import * as api from "./api.js";
import { element, listen, spaced } from "./page.js";
import { addRegionFields } from "./rectangle.js";

// Longest side in px of each format, and its approximate bytes per px for images of the shipped model.
/** @type {Record<string, {longest: number, bytes: number}>} */
const FORMATS = {
  png: { longest: 2 ** 31 - 1, bytes: 1.5 },
  jpeg: { longest: 65_500, bytes: 0.4 },
  webp: { longest: 16_383, bytes: 1.1 },
  tiff: { longest: 2 ** 31 - 1, bytes: 2.7 },
};

/**
 * @param {import("./session.js").Session} session
 * @param {import("./canvas.js").Canvas} canvas
 * @param {import("./rectangle.js").RectanglePicker} picker
 * @param {{info: api.Info, jobs: import("./jobs.js").Jobs, started: () => void}} page `started`: called when a job has begun
 */
export function startExporting(session, canvas, picker, { info, jobs, started }) {
  addRegionFields(element("export-region"), picker, canvas);
  const format = element("export-format", HTMLSelectElement);
  const start = element("export-start", HTMLButtonElement);

  const estimate = () => {
    const { value } = picker;
    const { words, possible } = value ? estimated(value, format.value, info) : NOTHING;
    element("export-estimate").textContent = words;
    start.disabled = !possible;
  };
  picker.addEventListener("change", estimate);
  listen(format, "change", estimate);
  listen(start, "click", async () => {
    if (!picker.value) return;
    jobs.add(await api.startExport(session.current, { ...picker.value, format: format.value }));
    started();
  });
}

const NOTHING = { words: "Draw a rectangle, or take the visible part.", possible: false };

/**
 * @param {api.Rect} rect
 * @param {string} format
 * @param {api.Info} info
 */
function estimated({ w, h }, format, { limits, local }) {
  const { longest, bytes } = FORMATS[format];
  const most = limits.export_pixels ?? Infinity;
  if (Math.max(w, h) > longest) {
    return { words: `This format holds at most ${spaced(longest)} px on a side: choose TIFF or PNG.`, possible: false };
  }
  if (w * h > most) {
    const place = local ? "in a browser. Use infgen render for larger ones" : "on this server";
    return { words: `At most ${megapixels(most)} in one picture ${place}.`, possible: false };
  }
  const words = `${spaced(w)} × ${spaced(h)} px, ${megapixels(w * h)}, about ${fileSize(w * h * bytes)}`;
  return { words, possible: true };
}

/** @param {number} px */
function megapixels(px) {
  const count = px / 1e6;
  return `${count < 10 ? count.toFixed(2) : spaced(count)} Mpx`;
}

/** @param {number} bytes */
function fileSize(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

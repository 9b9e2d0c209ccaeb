/** Adapt the page to what renders the tiles: without a server, photographs and some formats are not available. */

import { element } from "./page.js";

/** @param {import("./api.js").Info} info */
export function limitFeatures({ local = false }) {
  element("photo-server").hidden = !local;
  if (!local) return;
  element("photo-form").hidden = true;
  element("help-api").hidden = true;
  for (const option of [...element("export-format", HTMLSelectElement).options]) {
    if (option.value !== "png") option.remove();
  }
}

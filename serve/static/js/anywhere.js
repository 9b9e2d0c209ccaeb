/** Drop a photograph or a world file anywhere on the page, or paste a photograph. */

import { element } from "./page.js";

export function startDropsAnywhere() {
  document.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (event.defaultPrevented || !event.dataTransfer?.files.length) return; // a drop zone took it
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files);
  });
}

/** @param {FileList} files */
function take(files) {
  const isWorld = files[0].name.toLowerCase().endsWith(".json");
  const input = element(isWorld ? "world-file" : "photo-file", HTMLInputElement);
  if (!isWorld) {
    const button = /** @type {HTMLButtonElement} */ (document.querySelector("button[data-panel=photo]"));
    if (button.getAttribute("aria-expanded") === "false") button.click();
  }
  const first = new DataTransfer();
  first.items.add(files[0]);
  input.files = first.files;
  input.dispatchEvent(new Event("change"));
}

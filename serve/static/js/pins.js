/** Style centres on the canvas: pins that are dragged, moved with the arrow keys, and deleted. */

import { styleUrl } from "./api.js";
import { toLatLng, toPoint } from "./canvas.js";
import { load } from "./page.js";

const STEP_PX = 16; // step of an arrow key, on the screen
const SETTLED_MS = 500; // debounces key presses into one change
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @typedef {import("./layout.js").Point} Point */
/** @typedef {{style: import("./api.js").Style, x: number, y: number}} Placed */

/**
 * Return the display name of a style.
 * @param {import("./api.js").Style} style
 */
export function styleLabel(style) {
  return style.seed === undefined ? style.name : `Style ${style.seed}`;
}

/**
 * A round style preview; a plain disc for styles without a seed.
 * @param {import("./api.js").Style} style
 */
export function stylePicture(style) {
  const picture = document.createElement("img");
  picture.className = "style-picture";
  picture.alt = "";
  picture.draggable = false;
  if (style.seed === undefined) picture.classList.add("waiting");
  else load(picture, styleUrl(style.seed));
  return picture;
}

export class Pins {
  #map;
  #moved;
  #removed;
  /** @type {L.Marker[]} */
  #markers = [];
  #group = L.layerGroup();

  /**
   * @param {L.Map} map
   * @param {{moved: (index: number, point: Point) => void, removed: (index: number) => void}} actions
   */
  constructor(map, { moved, removed }) {
    this.#map = map;
    this.#moved = moved;
    this.#removed = removed;
  }

  /** @param {boolean} visible */
  visible(visible) {
    if (visible) this.#group.addTo(this.#map);
    else this.#group.remove();
  }

  /** @param {Placed[]} centres */
  show(centres) {
    const focused = this.#markers.findIndex((marker) => marker.getElement()?.contains(document.activeElement));
    this.#group.clearLayers();
    this.#markers = centres.map((centre, index) => this.#marker(centre, index));
    for (const marker of this.#markers) this.#group.addLayer(marker);
    this.#face(focused)?.focus({ preventScroll: true });
  }

  /** @param {number} index */
  #face(index) {
    /** @type {HTMLElement | null | undefined} */
    const face = this.#markers[index]?.getElement()?.querySelector(".pin-face");
    return face;
  }

  /**
   * @param {Placed} centre
   * @param {number} index
   */
  #marker({ style, x, y }, index) {
    const html = pinElement(style, () => this.#removed(index));
    const icon = L.divIcon({ className: "pin", html, iconSize: [52, 52] });
    const marker = L.marker(toLatLng(x, y), { icon, draggable: true, keyboard: false, autoPan: true });
    marker.on("dragend", () => this.#moved(index, toPoint(marker.getLatLng())));
    html.addEventListener("keydown", (event) => this.#key(event, marker, index));
    return marker;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {L.Marker} marker
   * @param {number} index
   */
  #key(event, marker, index) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const place = this.#map.latLngToContainerPoint(marker.getLatLng()).add(L.point(arrow).multiplyBy(STEP_PX));
      marker.setLatLng(this.#map.containerPointToLatLng(place));
      this.#settle(() => this.#moved(index, toPoint(marker.getLatLng())));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.#removed(index);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #timer = 0;

  /** @param {() => void} act */
  #settle(act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, SETTLED_MS);
  }
}

/**
 * @param {import("./api.js").Style} style
 * @param {() => void} remove
 */
function pinElement(style, remove) {
  const label = styleLabel(style);
  const pin = document.createElement("div");
  const face = document.createElement("button");
  face.type = "button";
  face.className = "pin-face";
  face.setAttribute("aria-label", `${label}: drag it, or move it with the arrow keys; Delete removes it`);
  face.append(stylePicture(style));
  const bin = document.createElement("button");
  bin.type = "button";
  bin.className = "pin-remove";
  bin.setAttribute("aria-label", `Remove ${label}`);
  bin.textContent = "×";
  bin.addEventListener("click", (event) => {
    event.stopPropagation();
    remove();
  });
  pin.append(face, bin);
  return pin;
}

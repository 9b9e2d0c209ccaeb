/** Shared helpers: elements by id, toasts, panels, and actions that report errors. */

const TOAST_MS = 7000;

/**
 * Return the element with `id`, of class `kind`.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {{new (): T}} [kind]
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof (kind ?? HTMLElement))) throw new Error(`page has no such element: ${id}`);
  return /** @type {T} */ (found);
}

/**
 * Run `act` on each event, and show its errors.
 * @param {EventTarget} target
 * @param {string} type
 * @param {(event: any) => unknown} act
 */
export function listen(target, type, act) {
  target.addEventListener(type, (event) => void attempt(() => act(event)));
}

/**
 * Run `act`, and show its error.
 * @param {() => unknown} act
 */
export async function attempt(act) {
  try {
    await act();
  } catch (error) {
    toast(error instanceof Error ? error.message : String(error), { kind: "error" });
  }
}

/**
 * Show a message for a while. Equal messages are shown once.
 * @param {string} text
 * @param {{kind?: "error" | "note", ms?: number, action?: {label: string, act: () => unknown}}} [options]
 */
export function toast(text, { kind = "note", ms = TOAST_MS, action } = {}) {
  const place = element(kind === "error" ? "alerts" : "notes");
  for (const shown of place.children) if (shown.firstElementChild?.textContent === text) return;
  const line = document.createElement("div");
  line.className = `toast ${kind}`;
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "toast-close";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  close.addEventListener("click", () => line.remove());
  line.append(words, ...(action ? [actionButton(line, action)] : []), close);
  place.append(line);
  setTimeout(() => line.remove(), ms);
}

/**
 * @param {HTMLElement} line removed by the action
 * @param {{label: string, act: () => unknown}} action
 */
function actionButton(line, { label, act }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "toast-action";
  button.textContent = label;
  listen(button, "click", () => {
    line.remove();
    return act();
  });
  return button;
}

const PICTURE_TRIES = 6;
const PICTURE_MS = 1500; // multiplied by the number of failures

/** @type {(() => void)[]} pictures whose turn has not come */
const pictures = [];
let isLoading = false;

/**
 * Show the picture at `url` once it comes into view, with retries. Pictures load one at a time: a browser has six
 * connections to a server, and tiles and strokes need them.
 * @param {HTMLImageElement} picture
 * @param {string | Promise<string>} url
 */
export function load(picture, url) {
  let tries = 0;
  picture.classList.add("waiting");
  picture.addEventListener("load", () => {
    picture.classList.remove("waiting");
    loadNext();
  });
  picture.addEventListener("error", () => {
    tries += 1;
    if (tries < PICTURE_TRIES) setTimeout(() => queue(show), PICTURE_MS * tries);
    loadNext();
  });
  const show = () => void Promise.resolve(url).then((address) => (picture.src = address), loadNext);
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    queue(show);
  });
  observer.observe(picture);
}

/** @param {() => void} show */
function queue(show) {
  pictures.push(show);
  if (!isLoading) loadNext();
}

function loadNext() {
  const show = pictures.shift();
  isLoading = show !== undefined;
  show?.();
}

/**
 * Panels with toggle buttons; at most one is open.
 * @param {(name: string | null) => void} changed
 */
export function startPanels(changed) {
  const buttons = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("button[data-panel]")]);
  /** @type {HTMLButtonElement | null} */
  let open = null;

  /** @param {HTMLButtonElement | null} wanted */
  const show = (wanted) => {
    const leaving = open;
    open = wanted;
    for (const button of buttons) {
      const panel = element(`panel-${button.dataset.panel}`);
      panel.hidden = button !== open;
      button.setAttribute("aria-expanded", String(button === open));
    }
    document.body.classList.toggle("panel-open", open !== null);
    if (open) element(`panel-${open.dataset.panel}`).focus({ preventScroll: true });
    else leaving?.focus({ preventScroll: true });
    changed(open?.dataset.panel ?? null);
  };
  for (const button of buttons) button.addEventListener("click", () => show(button === open ? null : button));
  for (const close of document.querySelectorAll("[data-close]")) close.addEventListener("click", () => show(null));
  return {
    close: () => show(null),
    isOpen: () => open !== null,
    /** @param {string} name */
    show: (name) => show(buttons.find((button) => button.dataset.panel === name) ?? null),
  };
}

/**
 * Save a file as the browser does with downloads.
 * @param {Blob} blob
 * @param {string} name
 */
export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * A whole number with thin spaces between thousands and a real minus sign.
 * @param {number} value
 */
export function spaced(value) {
  return String(Math.round(value)).replace("-", "−").replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

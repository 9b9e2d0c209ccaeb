/** Fade a new picture in over the one that a tile shows, so that old and new tiles do not meet in hard blocks. */

const FADE_MS = 250;

/**
 * Draw at rising opacity, the last time fully opaque. An abort draws the opaque picture at once.
 * @param {CanvasRenderingContext2D} context
 * @param {{paint: () => void, signal: AbortSignal, end: () => void}} options `end`: called once, after the last drawing
 */
export function fade(context, { paint, signal, end }) {
  const start = performance.now();
  let [frame, before] = [0, 0];
  const finish = () => {
    cancelAnimationFrame(frame);
    signal.removeEventListener("abort", finish);
    context.globalAlpha = 1;
    paint();
    end();
  };
  const step = () => {
    const part = (performance.now() - start) / FADE_MS;
    if (part >= 1) {
      finish();
      return;
    }
    context.globalAlpha = (part - before) / (1 - before); // earlier steps left this share of the old picture
    paint();
    before = part;
    frame = requestAnimationFrame(step);
  };
  const still = document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still) {
    finish();
    return;
  }
  signal.addEventListener("abort", finish);
  frame = requestAnimationFrame(step);
}

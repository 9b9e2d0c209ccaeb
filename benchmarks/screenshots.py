"""The pictures of the canvas in docs/images: a desktop, a phone, and a recording of half a minute, of the shipped model.

    python -m benchmarks.screenshots docs/images
    python -m benchmarks.screenshots docs/images --only recording

Needs playwright and Debian's Chromium; starts a server of its own with an empty folder.
"""

import base64
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = 300_000
QUALITY = 82
FILM = (640, 400)  # px
FRAME_S = 0.125  # least time between frames of the recording
LAST_FRAME_MS = 2000
LONGEST_FRAME_MS = 1500  # of the recording: longer waits are shortened
FILM_QUALITY = 55
# The recording has no pointer of its own.
POINTER = """() => {
  const dot = document.createElement("div");
  Object.assign(dot.style, { position: "fixed", zIndex: 10000, width: "18px", height: "18px", margin: "-9px 0 0 -9px",
    borderRadius: "50%", border: "2px solid #fff", background: "rgb(209 58 138 / 80%)", pointerEvents: "none" });
  document.body.append(dot);
  addEventListener("pointermove", ({ clientX, clientY }) => {
    dot.style.left = `${clientX}px`;
    dot.style.top = `${clientY}px`;
  }, { capture: true });
}"""
DESKTOP_PLACE, PHONE_PLACE = (
    "#seed=7&x=0&y=-60&z=0",
    "#seed=7&x=0&y=420&z=-1",
)  # on the phone, a panel covers the lower half


@contextmanager
def server(model: Path | None) -> Iterator[str]:
    """The address of a running server."""
    with tempfile.TemporaryDirectory() as data:
        words = ["serve", "--port", "0", "--data", data, *([] if model is None else ["--model", str(model)])]
        command = [sys.executable, "-m", "infgen", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            found = next((m[0] for line in process.stdout if (m := re.search(r"http://\S+", line))), None)
            if found is None:
                raise click.ClickException("infgen serve printed no address")
            while httpx.get(f"{found.rstrip('/')}/health/ready").status_code != 200:  # the model is being opened
                time.sleep(0.2)
            yield found
            process.terminate()


def open_page(browser: Browser, address: str, *, phone: bool) -> Page:
    """A drawn page: a desktop in light colours, or a phone in dark ones."""
    size = PHONE if phone else DESKTOP
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        has_touch=phone,
        is_mobile=phone,
        device_scale_factor=2 if phone else 1,
        color_scheme="dark" if phone else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address + (PHONE_PLACE if phone else DESKTOP_PLACE))
    return wait_until_settled(page)


def wait_until_settled(page: Page) -> Page:
    """Wait until everything is drawn."""
    page.wait_for_timeout(500)
    page.wait_for_selector("body:not(.pending) #canvas[aria-busy=false]")
    page.wait_for_function(
        "() => ![...document.images].some(i => i.checkVisibility() && !i.complete && i.loading !== 'lazy')"
    )
    page.wait_for_timeout(500)
    return page


def with_styles(page: Page, drops: list[tuple[int, int, int]]) -> Page:
    """Drop styles (number in the palette, x, y in px of the window)."""
    page.click("button[data-panel=styles]")
    page.wait_for_selector("#swatches li:nth-child(12) img:not(.waiting)")
    for number, x, y in drops:
        page.locator(".swatch").nth(number).hover()
        page.mouse.down()
        page.mouse.move(x, y, steps=4)
        page.mouse.up()
        wait_until_settled(page)
    return page


def save(page: Page, path: Path) -> None:
    """The window as JPEG."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(path, quality=QUALITY, optimize=True, progressive=True)


class Recorder:
    """Collects the frames of a page as (seconds, JPEG), at most one in ``FRAME_S``."""

    def __init__(self, page: Page) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.on("Page.screencastFrame", self._keep)
        size = {"maxWidth": 2 * FILM[0], "maxHeight": 2 * FILM[1]}
        self._devtools.send("Page.startScreencast", {"format": "jpeg", "quality": 90, **size})

    def _keep(self, frame: dict[str, Any]) -> None:
        self._devtools.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})
        seconds, content = frame["metadata"]["timestamp"], base64.b64decode(frame["data"])
        if self.frames and seconds - self.frames[-1][0] < FRAME_S:
            self.frames[-1] = (self.frames[-1][0], content)  # the newest state of this moment
        else:
            self.frames.append((seconds, content))

    def save(self, path: Path) -> None:
        """Write an animated WebP that plays at the speed of the recording, but for long waits."""
        self._devtools.send("Page.stopScreencast")
        times = [seconds for seconds, _ in self.frames]
        durations = [min(LONGEST_FRAME_MS, round(1000 * (b - a))) for a, b in pairwise(times)] + [LAST_FRAME_MS]
        first, *others = (Image.open(io.BytesIO(data)).convert("RGB").resize(FILM) for _, data in self.frames)
        options = {"append_images": others, "duration": durations, "quality": FILM_QUALITY, "method": 4}
        first.save(path, save_all=True, loop=0, **options)


def glide(page: Page, *line: tuple[int, int], press: bool = True) -> None:
    """Move the pointer along ``line`` in px of the window, as slowly as a person; ``press``: with the button held."""
    page.mouse.move(*line[0])
    if press:
        page.mouse.down()
    for (x0, y0), (x1, y1) in pairwise(line):
        steps = max(1, round(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 / 18))
        for step in range(1, steps + 1):
            page.mouse.move(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps)
            page.wait_for_timeout(25)
    page.wait_for_timeout(100)
    if press:
        page.mouse.up()


def point(page: Page, selector: str, start: tuple[int, int]) -> None:
    """Move the pointer from ``start`` to an element, and click it."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    glide(page, start, (round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)), press=False)
    page.mouse.down()
    page.mouse.up()


def perform(page: Page) -> None:
    """Pan, zoom out, paint two strokes, place a pin, undo it, and redraw a part."""
    glide(page, (1000, 560), (560, 500))
    wait_until_settled(page)
    page.mouse.wheel(0, 40)
    wait_until_settled(page)
    point(page, "button[data-panel=styles]", (560, 500))
    page.wait_for_selector("#swatches li:nth-child(12) img:not(.waiting)")
    point(page, "label:has(#tool-paint)", (60, 300))
    for number, line in ((3, ((560, 470), (760, 420), (930, 470))), (1, ((700, 250), (960, 230), (1150, 260)))):
        point(page, f".swatch[data-seed='{number}']", (300, 300))
        glide(page, *line)
        wait_until_settled(page)
    point(page, "label:has(#tool-pin)", (600, 300))
    box = page.locator(".swatch[data-seed='6']").bounding_box()
    assert box is not None
    glide(page, (round(box["x"]) + 30, round(box["y"]) + 30), (1080, 560))
    wait_until_settled(page)
    point(page, "#undo", (1080, 560))
    wait_until_settled(page)
    point(page, "button[data-panel=resample]", (300, 60))
    point(page, "#resample-region [data-action=draw]", (60, 300))
    glide(page, (640, 330), (900, 560))
    point(page, "#resample-another", (640, 400))
    wait_until_settled(page)


def record(browser: Browser, address: str) -> Recorder:
    """Record a visit from the first moment of the page on."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address + DESKTOP_PLACE, wait_until="domcontentloaded")
    page.evaluate(POINTER)
    recorder = Recorder(page)
    wait_until_settled(page)
    perform(page)
    return recorder


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--only", type=click.Choice(["desktop", "phone", "recording"]), help="Make one of the pictures.")
@click.option("--model", type=click.Path(path_type=Path), help="[default: the shipped model]")
def main(out: Path, only: str | None, model: Path | None) -> None:
    """Write canvas-desktop.jpg, canvas-phone.jpg and canvas.webp into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    with server(model) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        if only in (None, "desktop"):
            desktop = open_page(browser, address, phone=False)
            save(with_styles(desktop, [(3, 1050, 330)]), out / "canvas-desktop.jpg")
        if only in (None, "phone"):
            phone = open_page(browser, address, phone=True)
            save(with_styles(phone, [(1, 290, 250)]), out / "canvas-phone.jpg")
        if only in (None, "recording"):
            record(browser, address).save(out / "canvas.webp")
        browser.close()


if __name__ == "__main__":
    main()

"""Seconds from a move on the canvas to its first and to its sharp picture, in a real browser with a real server.

    python -m benchmarks.latencies
    python -m benchmarks.latencies --model planet --move open --move "zoom out by 8"

A first picture covers all that changed, at any resolution. A sharp picture has the resolution of the view. Every round
has a new world, so nothing comes from a cache. Prints medians: seconds of the clock, and CPU seconds of server and
browser together, which hardly depend on other work on the machine.
"""

import json
import statistics
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from tests.serve.browser.conftest import CHROMIUM, FLAGS
from tests.serve.browser.visit import Visit
from tests.serve.process import serving

SIZE = (1280, 800)  # of the window, px
PANEL_PX = 400  # the part of the window that an open panel covers
FAR = 100_000  # px between the places of two moves
LINE = ((600, 300), (800, 480), (1100, 420))  # a stroke, px of the window
PATIENCE_MS = 600_000

# Watches the page from `event` on. `points`: px of the window that must be covered. `change`: whether they get a new revision.
WATCH = """({ event, points, z, change, scale }) => {
  const revision = tile => tile.dataset.shown.split("/")[0];
  const tiles = () => [...document.querySelectorAll("canvas[data-shown]")];
  const old = new Set(change ? tiles().map(revision) : []);
  const found = { first: null, sharp: null };
  window.latency = found;
  let start = event ? null : 0;
  if (event) document.addEventListener(event, () => (start ??= performance.now()), { capture: true });
  const covered = elements => {
    const boxes = elements.map(e => e.getBoundingClientRect());
    return points.every(([x, y]) => boxes.some(b => b.left <= x && x < b.right && b.top <= y && y < b.bottom));
  };
  const look = () => {
    if (start !== null && (!scale || document.getElementById("scale").textContent === scale)) {
      const fresh = tiles().filter(tile => !old.has(revision(tile)));
      const sharp = fresh.filter(tile => tile.dataset.shown.split("/").at(-3) === String(z));
      const answers = [...document.querySelectorAll("img.answer")];
      const under = change ? [] : [...document.querySelectorAll("img.ground")];
      const full = under.filter(image => image.naturalWidth >= Math.floor(image.getBoundingClientRect().width));
      const seconds = (performance.now() - start) / 1000;
      if (found.first === null && covered([...(change ? sharp : fresh), ...under, ...answers])) found.first = seconds;
      if (covered([...sharp, ...full]) && !answers.length) found.sharp = seconds;
    }
    if (found.sharp === null) setTimeout(look, 20);
  };
  look();
}"""

OTHER_STYLES = """first => {
  const { get, set } = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
  const other = url => url.replace(/(styles\\/)(\\d+)/, (_, path, seed) => path + (first + Number(seed)));
  Object.defineProperty(HTMLImageElement.prototype, "src", { get, set(url) { set.call(this, other(url)); } });
}"""


class Measured(NamedTuple):
    """Seconds of the clock, and CPU seconds, until the first and until the sharp picture."""

    first: float
    first_cpu: float
    sharp: float
    sharp_cpu: float


@dataclass
class Canvas:
    """An open page, and the processes of its server and browser."""

    browser: Browser
    address: str
    visit: Visit = field(init=False)
    page: Page = field(init=False)

    def renew(self) -> None:
        """Open a window without a cache."""
        with suppress(AttributeError):
            self.page.context.close()
        self.page = self.browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}).new_page()
        self.visit = Visit(self.page, self.address)
        self.page.set_default_timeout(PATIENCE_MS)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that server and browser have used."""
        times = (process.cpu_times() for process in psutil.Process().children(recursive=True))
        return sum(each.user + each.system for each in times)

    def timed(self, act: Callable[[], object], **watched: object) -> "Measured":
        """Measure ``act``; ``watched``: options of WATCH."""
        before = self.cpu_seconds()
        self.page.evaluate(WATCH, {"points": points(), "z": 0, "change": False, "scale": "", **watched})
        act()
        return self.result(before)

    def result(self, before: float) -> "Measured":
        """Wait for both pictures. ``before``: the CPU seconds at the start."""
        self.page.wait_for_function("() => window.latency && window.latency.first !== null", timeout=PATIENCE_MS)
        until_first = self.cpu_seconds() - before
        self.page.wait_for_function("() => window.latency.sharp !== null", timeout=PATIENCE_MS)
        found, until_sharp = self.page.evaluate("() => window.latency"), self.cpu_seconds() - before
        self.visit.settle()
        return Measured(found["first"], until_first, found["sharp"], until_sharp)


def points(left: int = 8) -> list[tuple[int, int]]:
    """Return points all over the window, from column ``left`` on."""
    across, down = (SIZE[0] - 8 - left) / 9, (SIZE[1] - 16) / 6
    return [(round(left + i * across), round(8 + j * down)) for i in range(10) for j in range(7)]


def open_page(canvas: Canvas, number: int) -> Measured:
    """Open a page on a new world, where its model opens."""
    canvas.renew()
    before = canvas.cpu_seconds()
    start = canvas.page.request.get(f"{canvas.address}api/v1/info").json()["zoom"]["first"]
    watched = json.dumps({"event": None, "points": points(), "z": start, "change": False, "scale": ""})
    canvas.page.add_init_script(f"document.addEventListener('DOMContentLoaded', () => ({WATCH})({watched}))")
    canvas.page.goto(f"{canvas.address}#seed={number}")
    return canvas.result(before)


def pan(canvas: Canvas, number: int) -> Measured:
    """Drag the canvas by most of its width."""
    place(canvas, number)
    mouse = canvas.page.mouse
    mouse.move(1140, 500)
    mouse.down()
    mouse.move(1130, 500)

    def drag() -> None:
        mouse.move(140, 500)
        canvas.page.wait_for_timeout(100)  # a canvas that stands still is not thrown
        mouse.up()

    return canvas.timed(drag, event="mousemove")


def zoom(levels: int, wheel_px: int) -> Callable[[Canvas, int], Measured]:
    """Make a move that zooms out from full size with the wheel."""

    def act(canvas: Canvas, number: int) -> Measured:
        place(canvas, number)
        canvas.page.mouse.move(SIZE[0] / 2, SIZE[1] / 2)
        scale = f"1 : {2**levels}"
        return canvas.timed(lambda: canvas.page.mouse.wheel(0, wheel_px), event="wheel", z=-levels, scale=scale)

    return act


def pin(canvas: Canvas, number: int) -> Measured:
    """Place a style in the view, while more pictures of styles load."""
    styles(canvas, number)
    swatch = canvas.page.locator(f".swatch[data-seed='{number % 8}']")
    return canvas.timed(swatch.click, event="click", points=points(PANEL_PX), change=True)


def stroke(canvas: Canvas, number: int) -> Measured:
    """Paint a stroke, and release the pointer."""
    brush(canvas, number)
    drag_line(canvas, LINE)
    return canvas.timed(canvas.page.mouse.up, event="pointerup", points=LINE, change=True)


def live_stroke(canvas: Canvas, number: int) -> Measured:
    """Paint on while the pointer is down, and wait for the picture at its place."""
    brush(canvas, number)
    drag_line(canvas, LINE[:2])
    canvas.page.wait_for_timeout(1500)
    before = canvas.cpu_seconds()
    watched = {"event": "pointermove", "points": [LINE[2]], "z": 0, "change": True, "scale": ""}
    canvas.page.evaluate(WATCH, watched)
    canvas.page.mouse.move(*LINE[2])
    canvas.page.wait_for_function("() => window.latency.first !== null", timeout=PATIENCE_MS)
    canvas.page.mouse.up()
    return canvas.result(before)


def undo(canvas: Canvas, number: int) -> Measured:
    """Undo a stroke."""
    stroke(canvas, number)
    canvas.page.wait_for_timeout(500)  # until the last tile has faded in
    return canvas.timed(lambda: canvas.page.click("#undo"), event="click", points=LINE, change=True)


def redraw(canvas: Canvas, number: int) -> Measured:
    """Redraw the visible part."""
    place(canvas, number)
    canvas.visit.panel("resample")
    canvas.page.click("#resample-region [data-action=view]")
    another = canvas.page.locator("#resample-another")
    return canvas.timed(another.click, event="click", points=points(PANEL_PX), change=True)


MOVES: dict[str, Callable[[Canvas, int], Measured]] = {
    "open": open_page,
    "pan": pan,
    "zoom out by 2": zoom(1, 40),
    "zoom out by 4": zoom(2, 147),
    "zoom out by 8": zoom(3, 291),
    "pin": pin,
    "stroke, pointer down": live_stroke,
    "stroke": stroke,
    "undo": undo,
    "redraw": redraw,
}


def place(canvas: Canvas, number: int) -> None:
    """Go to a place of its own at full size."""
    canvas.visit.open(f"seed={number}&x={FAR * number}&y=0&z=0")


def styles(canvas: Canvas, number: int) -> None:
    """Open the styles at a place of their own, with pictures that no cache holds."""
    place(canvas, number)
    canvas.page.evaluate(OTHER_STYLES, 1000 * number)
    canvas.visit.panel("styles")


def brush(canvas: Canvas, number: int) -> None:
    """Take the brush with a style."""
    styles(canvas, number)
    canvas.page.click("label:has(#tool-paint)")
    canvas.page.click(f".swatch[data-seed='{number % 8}']")
    canvas.page.wait_for_timeout(500)


def drag_line(canvas: Canvas, line: tuple[tuple[int, int], ...]) -> None:
    """Press the pointer and follow ``line``."""
    canvas.page.mouse.move(*line[0])
    canvas.page.mouse.down()
    for x, y in line[1:]:
        canvas.page.mouse.move(x, y, steps=12)


def row(what: str, measured: list[Measured]) -> str:
    """Return a row of the table."""
    medians = " | ".join(f"{statistics.median(values):.2f}" for values in zip(*measured, strict=True))
    return f"| {what} | {medians} |"


@click.command()
@click.option("--model", default="scenery", show_default=True)
@click.option("--threads", default=2, show_default=True, help="Threads of the server.")
@click.option("--rounds", default=5, show_default=True, help="Times that each move is measured.")
@click.option("--move", "moves", multiple=True, type=click.Choice(list(MOVES)), help="Only this move. Repeatable.")
def main(model: str, threads: int, rounds: int, moves: tuple[str, ...]) -> None:
    """Print a table of the moves."""
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), "--model", model, "--threads", threads) as process,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        canvas = Canvas(browser, process.url)
        canvas.renew()
        canvas.visit.open("seed=0")  # the first tile of a server is slower
        print("| move | first picture, s | CPU s | sharp picture, s | CPU s |")
        print("|---|---|---|---|---|")
        for index, name in enumerate(moves or MOVES):
            found = []
            for number in range(1, rounds + 1):
                canvas.renew()
                found.append(MOVES[name](canvas, number + rounds * index))
            print(row(name, found), flush=True)
        browser.close()


if __name__ == "__main__":
    main()

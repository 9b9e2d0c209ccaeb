"""The page without a server, in headless Chromium: seconds to see something, bytes loaded, memory, and pixels.

    python -m benchmarks.web_page --ort build/web/node_modules/onnxruntime-web

Exports the page of a model into a temporary folder and hosts it as plain files. Prints the seconds from a cold start to the
first picture and to a sharp view of 1280 x 800 px, the bytes that were loaded, the memory of all
Chromium processes before and after the pans, and the difference of four windows from ``infgen render``. Renders in
WebAssembly: headless Chromium has no GPU. Needs playwright and Debian's Chromium.
"""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from rich.table import Table

from benchmarks.render import console, machine
from infgen.export.web import export_web
from infgen.world.world import World

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
NO_GPU = "Object.defineProperty(navigator, 'gpu', { value: undefined });"
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = 600_000
PLACE = "#seed=7&x=0&y=-60&z=0"
FAR = 2**40
STYLES = [{"name": f"s{i}", "seed": i} for i in range(4)]
SETTLED = "() => document.querySelector('canvas[data-shown]') && document.querySelector('#canvas[aria-busy=false]')"
COARSE = "() => document.querySelector('img.ground')"
EXPORT = """async ([world, rect]) => {
  const api = await import(new URL("static/js/api.js", location.href).href);
  const record = await api.createWorld({ world });
  const job = await api.startExport(record, { ...rect, format: "png" });
  let ended = job;
  while (ended.state === "running") {
    await new Promise(resolve => setTimeout(resolve, 50));
    ended = (await api.jobs()).find(({ id }) => id === job.id);
  }
  const bytes = new Uint8Array(await (await fetch(ended.result)).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}"""


class _Counting(SimpleHTTPRequestHandler):
    """Serves files quietly, and adds up their sizes."""

    sent: dict[str, int] = {}  # noqa: RUF012 -- one per process

    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length":
            self.sent[self.path] = self.sent.get(self.path, 0) + int(value)
        super().send_header(keyword, value)


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    """Yield the address of ``folder``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Counting, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def open_page(browser: Browser, size: tuple[int, int]) -> Page:
    """Open an empty window of a new person."""
    phone = size == PHONE
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
        has_touch=phone,
        is_mobile=phone,
        device_scale_factor=2 if phone else 1,
        color_scheme="dark" if phone else "light",
    )
    context.add_init_script(NO_GPU)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: console.print(f"console: {message.text}"))
    return page


def memory_mb() -> float:
    """Return the memory of all Chromium processes that this one started, shared pages counted once, in MB."""
    children = psutil.Process().children(recursive=True)
    return sum(float(child.memory_full_info().pss) for child in children if "chrom" in child.name()) / 1e6


def time_start(page: Page, address: str) -> dict[str, str]:
    """Open the page cold. Returns seconds by what is seen."""
    _Counting.sent.clear()
    begun, found = time.perf_counter(), {}
    page.goto(address + PLACE)
    for name, condition in (("first picture", COARSE), ("sharp view", SETTLED)):
        page.wait_for_function(condition)
        found[name] = f"{time.perf_counter() - begun:.1f} s"
        if name == "first picture":
            found["loaded until then"] = f"{sum(_Counting.sent.values()) / 1e6:.1f} MB"
    found["loaded in all"] = f"{sum(_Counting.sent.values()) / 1e6:.1f} MB"
    return found


def pan(page: Page, count: int) -> None:
    """Drag the view ``count`` times, back and forth along a spiral, without waiting for tiles."""
    for i in range(count):
        dx, dy = ((300, 40), (-40, 200), (-260, -60), (60, -220))[i % 4]
        page.mouse.move(640, 400)
        page.mouse.down()
        page.mouse.move(640 + dx, 400 + dy, steps=2)
        page.mouse.up()
    page.wait_for_function(SETTLED)


def compare(page: Page, model: str | None) -> Iterator[tuple[str, float, int]]:
    """Yield name, share of values within 2 steps of 255, and largest difference of windows of 512 x 512 px."""
    for x, y in ((0, 0), (FAR - 512, -FAR)):
        places = [(x + 256 + dx, y + 256 + dy) for dy in (-150, 150) for dx in (-150, 150)]
        centres = [{"style": f"s{i}", "x": px, "y": py} for i, (px, py) in enumerate(places)]
        layout = {"schema": 1, "styles": STYLES, "centres": centres, "transition": 129}
        for name, more in (("one style", {}), ("four styles", {"layout": layout})):
            document: dict[str, Any] = {"schema": 3, "seed": 7, **more}
            png = page.evaluate(EXPORT, [document, {"x": x, "y": y, "w": 512, "h": 512}])
            found = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
            expected = World.from_json(json.dumps(document)).render(x, y, 512, 512, model=model)
            difference = np.abs(found.astype(int) - expected)
            yield f"{name} at ({x}, {y})", float((difference <= 2).mean()), int(difference.max())


def save(page: Page, path: Path) -> None:
    """Write the window as PNG."""
    page.wait_for_timeout(500)
    page.screenshot(path=path)


@click.command()
@click.option("--ort", required=True, type=click.Path(path_type=Path), help="Folder of onnxruntime-web.")
@click.option("--model", help="[default: the shipped model]")
@click.option("--pans", default=300, show_default=True)
@click.option("--pictures", type=click.Path(path_type=Path, file_okay=False), help="Folder for screenshots.")
@click.option("--pixels/--no-pixels", default=True, help="Compare windows with infgen render.")
def main(ort: Path, model: str | None, pans: int, pictures: Path | None, pixels: bool) -> None:
    """Measure the page of MODEL."""
    table = Table("measure", "value")
    with TemporaryDirectory() as work, sync_playwright() as playwright:
        site = export_web(model, Path(work) / "site", runtime=ort)
        console.print(site.describe())
        with hosting(site.folder) as address:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = open_page(browser, DESKTOP)
            for name, value in time_start(page, address).items():
                table.add_row(name, value)
            if pictures:
                save(page, pictures / "web-desktop.png")
            table.add_row("memory with a sharp view", f"{memory_mb():.0f} MB")
            pan(page, pans)
            table.add_row(f"memory after {pans} pans", f"{memory_mb():.0f} MB")
            for name, share, largest in compare(page, model) if pixels else ():
                table.add_row(name, f"{share:.3%} within 2/255, at most {largest}")
            page.context.close()
            if pictures:
                phone = open_page(browser, PHONE)
                time_start(phone, address)
                phone.click("button[data-panel=styles]")
                save(phone, pictures / "web-phone.png")
            browser.close()
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()

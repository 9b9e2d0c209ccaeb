"""How long the canvas of a model takes to open in a browser, and to zoom out by 8 at another place.

    python -m benchmarks.opening --model planet

Seconds of the clock until every tile of the window is drawn, and seconds that the server computed. Each view is a new one, so
nothing comes from a cache.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from tests.serve.browser.conftest import CHROMIUM, FLAGS
from tests.serve.browser.visit import Visit
from tests.serve.process import serving

SIZE = (1280, 800)  # of the window, px
PLACES = ((0, 0), (200_000, 0), (0, 300_000))


@click.command()
@click.option("--model", default="planet", show_default=True)
def main(model: str) -> None:
    """Print the times."""
    from playwright.sync_api import sync_playwright

    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), "--model", model) as process,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
        visit, server = Visit(page, process.url), psutil.Process(process.popen.pid)

        def measure(what: str, act: Callable[[], object]) -> None:
            start, before = time.perf_counter(), sum(server.cpu_times()[:2])
            act()
            took, busy = time.perf_counter() - start, sum(server.cpu_times()[:2]) - before
            print(f"{what}: {took:.2f} s, the server computed for {busy:.2f} s")

        measure("open the page on a new world", lambda: visit.open("seed=7"))
        for x, y in PLACES:
            visit.go(f"x={x + 90_000}&y={y}&z=0")
            measure(f"zoomed out by 8 at ({x}, {y})", lambda x=x, y=y: visit.go(f"x={x}&y={y}&z=-3"))  # type: ignore[misc]
        browser.close()


if __name__ == "__main__":
    main()

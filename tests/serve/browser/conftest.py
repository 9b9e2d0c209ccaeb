"""A server with the tiny model, and a browser that visits it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serve.browser.visit import DESKTOP, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",  # pages of one address share a process
)

Open = Callable[..., Visit]


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium without a window. Closed after these tests: its event loop is in the way of others."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="no browser: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip("no browser: apt-get install chromium")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def address(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Root of a running server, with a slash at its end."""
    words = ["serve", "--model", str(tiny_model), "--port", "0", "--threads", "1"]
    data = tmp_path_factory.mktemp("data")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "infgen", *words, "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        found = next((m for line in server.stdout if (m := re.search(r"http://[^\s/]+/", line))), None)
        assert found is not None, "the server printed no address"
        yield found[0]
        server.terminate()


def new_context(browser: "Browser", size: tuple[int, int], **options: object) -> "BrowserContext":
    """Windows of one person, without animations."""
    return browser.new_context(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", **options)


@pytest.fixture(scope="package")
def usual(browser: "Browser") -> "BrowserContext":
    """Desktop windows that keep their pictures from test to test."""
    return new_context(browser, DESKTOP)


@pytest.fixture
def visit(browser: "Browser", usual: "BrowserContext", address: str) -> Iterator[Open]:
    """Open a page; ``options`` are those of a context of its own. Afterwards nothing may have complained."""
    visits: list[Visit] = []

    def start(place: str = "seed=7&x=0&y=0&z=0", size: tuple[int, int] = DESKTOP, **options: object) -> Visit:
        own = size != DESKTOP or bool(options)
        context = new_context(browser, size, **options) if own else usual
        visits.append(Visit(context.new_page(), address))
        return visits[-1].open(place)

    yield start
    complaints = [words for visit in visits for words in visit.complaints]
    for made in visits:
        made.page.close()
    assert not complaints, complaints

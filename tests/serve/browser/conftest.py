"""A server with the tiny model of four scales, one with the tiny model of one scale, and a browser that visits them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serve.browser.visit import DESKTOP, Visit
from tests.serve.process import serving

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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folder of the server."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="package")
def address(scaled_model: Path, data: Path) -> Iterator[str]:
    """Root of a running server, with a slash at its end."""
    with serving(data, "--model", scaled_model) as server:
        yield server.url


@pytest.fixture(scope="module")
def address_of_one_scale(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for a model of one scale."""
    with serving(tmp_path_factory.mktemp("data"), "--model", tiny_model) as server:
        yield server.url


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
    yield from visits_of(browser, usual, address)


@pytest.fixture
def visit_one_scale(browser: "Browser", usual: "BrowserContext", address_of_one_scale: str) -> Iterator[Open]:
    """The same on the server of a model of one scale."""
    yield from visits_of(browser, usual, address_of_one_scale)


@pytest.fixture
def visit_planet(browser: "Browser", usual: "BrowserContext", tmp_path: Path) -> Iterator[Open]:
    """The same on the server of the shipped model of lands seen from above."""
    with serving(tmp_path, "--model", "planet") as server:
        yield from visits_of(browser, usual, server.url)


def visits_of(browser: "Browser", usual: "BrowserContext", address: str) -> Iterator[Open]:
    """What the fixture ``visit`` is, for the server at ``address``."""
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

"""One visit to the page in a real browser: where it looks, what it shows, and what it complained about."""

import base64
import io
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request

API = "api/v1"
DESKTOP = (1280, 480)  # low: every tile takes its time
PHONE = (390, 844)
PATIENCE_MS = 60_000
# Not a style sheet: the page takes none from elsewhere.
_BARE = """visibility => document.querySelectorAll(
  ".bar, .tools, .panel, .toasts, .leaflet-marker-pane, .leaflet-overlay-pane, .brush-ring"
  ).forEach(element => { element.style.visibility = visibility; })"""

Picture = npt.NDArray[np.uint8]

# Every tile in the page as its address and a checksum of its pixels.
_TILES = """() => Object.fromEntries([...document.querySelectorAll("canvas[data-shown]")].map(tile => {
  const data = tile.getContext("2d").getImageData(0, 0, 256, 256).data;
  let sum = 2166136261;
  for (const value of data) sum = Math.imul(sum ^ value, 16777619);
  return [tile.dataset.shown, sum];
}))"""
_SETTLED = """() => !document.body.classList.contains("pending")
  && document.querySelector("#canvas[aria-busy=false]")
  && !document.querySelector(".leaflet-zoom-anim, .leaflet-pan-anim")"""
_PNG = """shown => document.querySelector(`canvas[data-shown="${shown}"]`).toDataURL()"""


def decode(picture: bytes) -> Picture:
    """The pixels of an encoded picture, (h, w, 3)."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


@dataclass
class Visit:
    """``page`` at ``address``, the server's root with a slash at its end."""

    page: "Page"
    address: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)

    def open(self, place: str = "") -> "Visit":
        """Open the page at ``place``, the part of a link after #, and wait until it is drawn."""
        self.page.goto("about:blank")  # the same address with another # would not load the page again
        self.page.goto(self.address + (f"#{place}" if place else ""))
        return self.settle()

    def settle(self) -> "Visit":
        """Wait until every change is answered and all tiles of the view are drawn."""
        self.page.wait_for_function(_SETTLED)
        return self

    def go(self, place: str) -> "Visit":
        """Change the address by hand to ``place`` of the open world, and wait until that is drawn."""
        self.page.evaluate("place => { location.hash = place; }", f"world={self.place['world']}&{place}")
        self.until("location.hash.includes('seed=')")  # the page completes what it has understood
        return self.settle()

    @property
    def place(self) -> dict[str, str]:
        """What the address bar says."""
        return {name: values[0] for name, values in parse_qs(self.page.evaluate("location.hash.slice(1)")).items()}

    @property
    def record(self) -> dict[str, Any]:
        """The open world, as the server has it."""
        return self.ask(f"worlds/{self.place['world']}")

    def ask(self, path: str) -> Any:
        """The JSON at a path of the API."""
        response = self.page.request.get(f"{self.address}{API}/{path}")
        assert response.ok, response.text()
        return json.loads(response.text())

    @property
    def tiles(self) -> dict[str, int]:
        """Checksums of the tiles in the page by "revision/z/x/y"."""
        found: dict[str, int] = self.page.evaluate(_TILES)
        return found

    def tile(self, z: int, x: int, y: int) -> Picture:
        """The pixels of one tile in the page, (256, 256, 3)."""
        shown = f"{self.record['revision']}/{z}/{x}/{y}"
        return decode(base64.b64decode(self.page.evaluate(_PNG, shown).partition(",")[2]))

    def fetch_tile(self, z: int, x: int, y: int, suffix: str) -> Picture:
        """The pixels of one tile as the server gives it: png is exact, webp is what the page shows."""
        path = f"worlds/{self.place['world']}/{self.record['revision']}/tiles/{z}/{x}/{y}.{suffix}"
        return decode(self.page.request.get(f"{self.address}{API}/{path}").body())

    def picture(self) -> Picture:
        """What the window shows of the canvas, without anything that floats over it, (h, w, 3)."""
        self.page.evaluate(_BARE, "hidden")
        shot = self.page.screenshot()
        self.page.evaluate(_BARE, "")
        return decode(shot)

    def panel(self, name: str) -> None:
        """Open a panel."""
        self.page.click(f"button[data-panel={name}]")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse, px of the window."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        mouse.move(*end, steps=3)
        mouse.up()

    def draw_rectangle(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a rectangle with the open panel's button, px of the window."""
        self.page.click(".panel:not([hidden]) [data-action=draw]")
        self.drag(start, end)

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(f"() => {expression}")  # not a mere expression: the page forbids eval

    def says(self, words: str) -> None:
        """Wait for a toast with ``words``."""
        self.page.wait_for_selector(f".toast:has-text({json.dumps(words)})")

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}".rstrip())

    def _note(self, request: "Request") -> None:
        self.requests.append(request.url)

    @property
    def asked_tiles(self) -> list[tuple[int, int, int]]:
        """(z, x, y) of the tiles that were asked for, in order."""
        found = (re.search(r"/tiles/(-?\d+)/(-?\d+)/(-?\d+)\.", url) for url in self.requests)
        return [(int(m[1]), int(m[2]), int(m[3])) for m in found if m]

    @property
    def asked_pictures(self) -> list[tuple[str, int]]:
        """("views" or "tiles", z) of the pictures of worlds that were asked for, in order."""
        found = (re.search(r"/(views|tiles)/(-?\d+)/", url) for url in self.requests)
        return [(m[1], int(m[2])) for m in found if m]

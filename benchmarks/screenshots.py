"""The pictures of the canvas in docs/images: a desktop and a phone, with styles and a rectangle of the shipped model.

python -m benchmarks.screenshots docs/images

Needs playwright and Debian's Chromium; starts a server of its own with an empty folder.
"""

import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = 300_000
QUALITY = 82
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


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", type=click.Path(path_type=Path), help="[default: the shipped model]")
def main(out: Path, model: Path | None) -> None:
    """Write canvas-desktop.jpg and canvas-phone.jpg into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    with server(model) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        desktop = open_page(browser, address, phone=False)
        save(with_styles(desktop, [(3, 1050, 330)]), out / "canvas-desktop.jpg")
        phone = open_page(browser, address, phone=True)
        save(with_styles(phone, [(1, 290, 250)]), out / "canvas-phone.jpg")
        browser.close()


if __name__ == "__main__":
    main()

"""What holds for the whole page: reach of the keyboard, contrast, weight, narrow windows, faults of the server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import PHONE, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Route

STATIC = Path(__file__).parents[3] / "serve" / "static"
PANELS = ("worlds", "styles", "resample", "photo", "export", "view")
MAX_PAGE_BYTES = 400_000  # uncompressed, without pictures; 105 kB compressed; 40 % of it is the map library
LEAST_TARGET_PX = 24  # WCAG 2.2, 2.5.8
AA = 4.5

# Visible text whose contrast to the colour under it is too low. Controls that cannot be used are exempt.
_FAINT = """least => {
  const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const under = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const shown = texts.currentNode.data.trim() && element.checkVisibility() && !element.closest(":disabled, template, #canvas");
    if (!shown) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(under(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least) faint.push(`${texts.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
_NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, img, progress, section")]
  .filter(e => e.checkVisibility() || e.closest("[hidden]"))
  .filter(e => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.labels?.length || e.innerText?.trim()
    || e.textContent?.trim() || e.hasAttribute("alt")))
  .map(e => e.outerHTML.slice(0, 80))"""
_SMALL = """least => [...document.querySelectorAll("button, input:not([type=file]), select")].filter(e => e.checkVisibility())
  .map(e => [e.getBoundingClientRect(), e]).filter(([box]) => box.width < least || box.height < least)
  .map(([, e]) => e.outerHTML.slice(0, 80))"""
_REACHABLE = """() => [...document.querySelectorAll("button, input, select, main, a")]
  .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.disabled)
  .filter(e => e.type !== "radio" || e.checked).length"""  # arrow keys move inside a group
_FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  e.dataset.visited ??= String(document.querySelectorAll("[data-visited]").length);
  return e.matches(":focus-visible") ? e.dataset.visited : `no focus to be seen: ${e.outerHTML.slice(0, 80)}`;
}"""


def unfold(page: Visit, panel: str) -> None:
    """Open a panel, and what it shows only when asked for."""
    page.panel(panel)
    if panel == "resample":
        page.page.check("#resample-like")
    if panel == "photo":
        page.page.set_input_files("#photo-second", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})


def test_every_control_is_reached_with_the_tab_key(visit: Open) -> None:
    page = visit()
    for panel in PANELS:
        unfold(page, panel)
        page.page.evaluate("document.querySelectorAll('[data-visited]').forEach(e => delete e.dataset.visited)")
        expected = page.settle().page.evaluate(_REACHABLE)
        reached = set()
        for _ in range(expected + 3):
            page.page.keyboard.press("Tab")
            reached.add(page.page.evaluate(_FOCUSED))
        assert len(reached - {None}) >= expected, panel
        assert [e for e in reached if e is not None and not e.isdigit()] == [], panel


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_with_its_background(visit: Open, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    for panel in PANELS:
        unfold(page, panel)
        page.settle()
        assert page.page.evaluate(_FAINT, AA) == [], panel


def test_every_control_and_picture_has_a_name(visit: Open) -> None:
    assert visit().page.evaluate(_NAMELESS) == []


def test_on_a_phone_nothing_is_cut_off_and_controls_are_large_enough(visit: Open) -> None:
    page = visit(size=PHONE, has_touch=True, is_mobile=True)
    for panel in PANELS:
        unfold(page, panel)
        assert page.settle().page.evaluate("document.documentElement.scrollWidth") == PHONE[0], panel
        assert page.page.evaluate(_SMALL, LEAST_TARGET_PX) == [], panel


def test_the_switch_changes_the_colours_and_is_remembered(visit: Open) -> None:
    page = visit(color_scheme="light")
    colour = "getComputedStyle(document.querySelector('.world')).backgroundColor"
    before = page.page.evaluate(colour)
    page.page.click("#theme")
    dark = page.page.evaluate(colour)
    assert dark != before
    page.page.reload()
    assert page.settle().page.evaluate(colour) == dark


def test_nothing_is_loaded_from_elsewhere(visit: Open) -> None:
    page = visit()
    for panel in PANELS:
        page.panel(panel)
        page.settle()
    own = (page.address, f"blob:{page.address}", "about:")  # blobs: pictures that the page itself has made
    assert [url for url in page.requests if not url.startswith(own)] == []


def test_the_page_is_light() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file() and path.name != "LICENSE"]
    assert sum(path.stat().st_size for path in files) < MAX_PAGE_BYTES


def test_the_map_library_comes_with_its_licence() -> None:
    assert "BSD 2-Clause" in (STATIC / "vendor" / "leaflet" / "LICENSE").read_text()


def test_a_busy_server_is_asked_again_after_the_time_it_names(visit: Open) -> None:
    page = visit()
    turned_away = []

    def answer(route: "Route") -> None:
        if "/tiles/0/" in route.request.url and not turned_away:
            turned_away.append(route.request.url)
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": "too many tiles"})
        else:
            route.continue_()

    page.page.route("**/tiles/**", answer)
    page.go("x=70000&y=0&z=0")
    page.complaints.clear()  # the browser reports the 429
    x, y = turned_away[0].removesuffix(".webp").split("/")[-2:]
    assert any(key.endswith(f"0/{x}/{y}") for key in page.tiles)


def test_a_server_that_does_not_answer_is_reported_in_one_line(visit: Open) -> None:
    page = visit()
    page.page.route("**/api/**", lambda route: route.abort())
    page.panel("worlds")
    page.says("The server does not answer")
    page.complaints.clear()


def test_the_servers_own_line_is_shown(visit: Open) -> None:
    page = visit()
    words = "there are too many worlds; delete one"
    page.page.route("**/api/v1/worlds", lambda route: route.fulfill(status=413, body=json.dumps({"error": words})))
    page.panel("worlds")
    page.says(words)
    page.complaints.clear()


def test_a_new_world_is_made_by_its_seed(visit: Open) -> None:
    page = visit()
    page.panel("worlds")
    page.page.fill("#world-seed", "4321")
    page.page.fill("#world-name", "Hills")
    page.page.click("#world-form .primary")
    page.page.wait_for_selector("#world-title:has-text('Hills')")
    assert page.settle().record["world"]["seed"] == 4321


def test_a_world_of_the_list_is_opened(visit: Open) -> None:
    page = visit()
    first = page.record["id"]
    page.open("seed=77&x=0&y=0&z=0")
    page.panel("worlds")
    page.page.locator("#worlds .row:not([aria-current])").first.click()
    page.page.wait_for_selector("#panel-worlds", state="hidden")
    assert page.settle().place["world"] == first


def test_a_deleted_world_goes_when_it_cannot_be_restored_any_more(visit: Open) -> None:
    page = visit()
    first = page.record["id"]
    page.open("seed=78&x=0&y=0&z=0")
    page.panel("worlds")
    with page.page.expect_response(lambda response: response.request.method == "DELETE"):
        page.page.locator("#worlds li [aria-label^='Delete']").first.click()
        page.says("is deleted")
        assert first in [world["id"] for world in page.ask("worlds")]
    assert first not in [world["id"] for world in page.ask("worlds")]


def show(page: Visit, module: str, expression: str) -> object:
    """The value of an expression of a module's exports, as JSON."""
    path = f"{page.address}static/js/{module}.js"
    return page.page.evaluate(f"async () => {{ const m = await import({json.dumps(path)}); return {expression}; }}")


def test_long_numbers_survive_reading_and_writing(visit: Open) -> None:
    text = '{"seed":18446744073709551615,"name":"99999999999999999999","x":0.12345678901234568,"y":-3}'
    page = visit()
    assert show(page, "json", f"m.stringify(m.parse({json.dumps(text)}))") == text

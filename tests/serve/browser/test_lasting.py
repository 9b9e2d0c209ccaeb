"""Work that is never lost: jobs over reloads and restarts, edits of two windows, a connection that breaks, the history."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.patience import until
from tests.serve.browser.conftest import Open, visits_of
from tests.serve.browser.visit import Visit
from tests.serve.process import Process, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

CHEAP = "seed=40&x=0&y=0&z=-3"
FAR = ["-3", str(900_000 // 2048)]  # level and column of the tile at x = 900,000
SLOW = {"x": "0", "y": "0", "w": "9000", "h": "9000"}  # px of an export that does not end by itself


def start_export(page: Visit, **sides: str) -> str:
    """Start an export, and return the id of its job."""
    page.panel("export")
    for side, value in {**SLOW, **sides}.items():
        page.page.fill(f"#export-region [name={side}]", value)
    page.page.keyboard.press("Tab")
    page.page.click("#export-start")
    page.page.wait_for_selector("#panel-jobs:not([hidden])")
    found: str = page.page.locator("#jobs .job").first.get_attribute("data-id") or ""
    return found


def cancel(page: Visit, *ids: str) -> None:
    for id in ids:
        page.page.request.delete(f"{page.address}api/v1/jobs/{id}")


def has_progress(page: Visit, id: str) -> None:
    page.page.locator(f"[data-id='{id}'] .job-words", has_text="%").wait_for()


def test_a_job_goes_on_over_a_reload_and_in_another_window(visit: Open) -> None:
    page = visit(CHEAP)
    id = start_export(page)
    page.page.reload()
    page.settle()
    other = visit(CHEAP)
    for window in (page, other):
        window.panel("jobs")
        has_progress(window, id)
    other.page.locator(f"[data-id='{id}']").get_by_role("button", name="Cancel").click()
    page.page.locator(f"[data-id='{id}'] .job-words", has_text="Cancelled").wait_for()


def test_two_jobs_have_a_bar_and_a_cancel_button_each(visit: Open) -> None:
    page = visit(CHEAP)
    ids = [start_export(page), start_export(page)]
    for id in ids:
        has_progress(page, id)
    page.page.locator(f"[data-id='{ids[0]}']").get_by_role("button", name="Cancel").click()
    page.page.locator(f"[data-id='{ids[0]}'] .job-words", has_text="Cancelled").wait_for()
    assert page.page.locator(f"[data-id='{ids[1]}'] progress").is_visible()
    cancel(page, *ids)


def test_a_job_of_one_world_does_not_touch_another_that_is_open(visit: Open, land: Path) -> None:
    page = visit("seed=41&x=0&y=0&z=-3")
    first = page.record["id"]
    page.panel("photo")
    page.page.set_input_files("#photo-file", land)
    page.page.wait_for_selector(".placing")
    page.page.select_option("#photo-samples", "1")
    page.page.locator("#photo-steps option").first.evaluate("option => { option.value = '40'; }")
    page.page.select_option("#photo-steps", "40")
    page.page.click("#photo-start")
    page.page.wait_for_selector("#panel-jobs:not([hidden])")
    page.panel("worlds")
    page.page.fill("#world-seed", "42")
    page.page.click("#world-form .primary")
    page.until("location.hash.includes('seed=42')")
    page.says("is part of World 41 now")
    record = page.settle().record
    assert (record["world"]["seed"], "anchors" in record["world"]) == (42, False)
    assert len(page.ask(f"worlds/{first}")["world"]["anchors"]) == 1
    page.panel("jobs")
    page.page.locator("#jobs .job").first.get_by_role("button", name="Show it").click()
    page.until("location.hash.includes('seed=41')")
    page.page.click("#undo")
    page.settle()
    assert "anchors" not in page.record["world"]


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of 120 x 90 px."""
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "land.png"
    picture = Image.new("RGB", (120, 90), (150, 190, 230))
    picture.paste((70, 110, 50), (0, 45, 120, 90))
    picture.save(path)
    return path


def pins_of(page: Visit) -> list[int]:
    layout = page.record["world"].get("layout", {"centres": []})
    return [centre["x"] for centre in layout["centres"]]


def test_pins_of_two_windows_are_all_kept(visit: Open) -> None:
    first = visit("seed=51&x=0&y=0&z=-3")
    second = visit("&".join(f"{name}={value}" for name, value in first.place.items()))
    for page in (first, second):
        page.panel("styles")
    for page, seed in ((first, 1), (second, 2), (first, 3), (second, 4)):
        page.page.click(f".swatch[data-seed='{seed}']")
    for page in (first, second):
        page.settle()
        page.complaints.clear()  # the browser reports the 412
    styles = {style["name"] for style in first.record["world"]["layout"]["styles"]}
    assert styles == {"own", "style 1", "style 2", "style 3", "style 4"}


def test_a_pin_that_another_window_has_removed_is_not_replaced_by_the_next_one(visit: Open) -> None:
    page = visit(CHEAP)
    path = f"{page.address}static/js/layout.js"
    found = page.page.evaluate(
        """async path => {
          const { onCentre, withoutCentre } = await import(path);
          const centres = ["a", "b", "c"].map((style, x) => ({ style, x, y: 0 }));
          const world = { layout: { styles: centres.map(({ style }) => ({ name: style })), centres } };
          const change = onCentre(world, 1, withoutCentre);
          const left = change({ layout: { ...world.layout, centres: centres.slice(1) } });
          return [left.layout.centres.map(({ style }) => style), change(left)];
        }""",
        path,
    )
    assert found == [["c"], None]


def test_a_pin_appears_before_the_server_answers(visit: Open) -> None:
    page = visit("seed=52&x=0&y=0&z=-3")
    page.panel("styles")
    held: list[Callable[[], None]] = []
    page.page.route("**/api/v1/worlds/*", lambda route: held.append(route.continue_))
    page.page.click(".swatch[data-seed='1']")
    page.page.wait_for_selector(".pin >> nth=1")
    until(lambda: held)
    assert not pins_of(page)
    held.pop()()
    page.page.unroute_all()
    page.settle()
    assert len(pins_of(page)) == 2


def test_back_and_forward_go_through_worlds_and_places(visit: Open) -> None:
    page = visit("seed=61&x=0&y=0&z=-3")
    first = page.place["world"]
    page.page.click("#position")
    page.page.fill("#go-x", "50000")
    page.page.keyboard.press("Enter")
    page.page.wait_for_timeout(1300)  # the page counts places that the view rests at
    page.panel("worlds")
    page.page.fill("#world-seed", "62")
    page.page.click("#world-form .primary")
    page.until("location.hash.includes('seed=62')")
    for back, world, x in ((True, first, "50000"), (True, first, "0"), (False, first, "50000")):
        page.page.go_back() if back else page.page.go_forward()
        page.until(f"location.hash.includes('world={world}') && location.hash.includes('x={x}&')")
        page.settle()
    page.page.go_forward()
    page.until("location.hash.includes('seed=62')")
    assert page.settle().record["world"]["seed"] == 62


def test_after_300_pans_the_page_shows_the_tiles_of_its_place(visit: Open) -> None:
    page = visit("seed=63&x=0&y=0&z=-3")
    page.page.focus("#canvas")
    for _ in range(300):
        page.page.keyboard.press("ArrowRight")
    page.settle()
    x = int(page.place["x"])
    assert x > 0
    column = x // (256 * 8)
    assert any(key.split("/")[1:3] == ["-3", str(column)] for key in page.tiles)


def test_a_busy_server_is_asked_more_slowly_until_all_tiles_are_there(visit: Open) -> None:
    page = visit("seed=64&x=0&y=0&z=-3")
    refused: list[str] = []

    def refuse(route: object) -> None:
        if len(refused) < 3:
            refused.append(route.request.url)  # type: ignore[attr-defined]
            route.fulfill(status=429, headers={"Retry-After": "1"}, body='{"error": "busy"}')  # type: ignore[attr-defined]
        else:
            route.fallback()  # type: ignore[attr-defined]

    page.page.route("**/tiles/**", refuse)
    page.go("x=900000&y=0&z=-3")
    assert len(refused) <= 3 + 4
    assert not page.page.locator(".toast").count()
    assert any(key.split("/")[1:3] == FAR for key in page.tiles)
    page.complaints.clear()  # the browser reports the 429


def test_offline_is_said_and_everything_goes_on_afterwards(visit: Open) -> None:
    page = visit("seed=65&x=0&y=0&z=-3", has_touch=False)
    page.panel("styles")
    page.page.context.set_offline(True)
    page.page.evaluate("location.hash = location.hash.replace('x=0', 'x=900000')")
    page.page.wait_for_selector("#connection:not([hidden])")
    page.page.wait_for_selector("#waiting:not([hidden])")
    page.page.click(".swatch[data-seed='1']")
    page.page.wait_for_selector(".pin >> nth=1")
    page.page.context.set_offline(False)
    page.page.wait_for_selector("#connection", state="hidden")
    page.settle()
    assert len(pins_of(page)) == 2
    assert any(key.split("/")[1:3] == FAR for key in page.tiles)
    assert not page.page.is_visible("#waiting")
    page.complaints.clear()


Restart = Callable[[], Process]


@pytest.fixture
def restartable(scaled_model: Path, tmp_path: Path) -> Iterator[Restart]:
    """Start a server, or kill it and start another one on the same port and folder."""
    running: list[tuple[object, Process]] = []

    def again() -> Process:
        options: list[object] = ["--model", scaled_model]
        if running:
            context, process = running.pop()
            process.kill()
            context.__exit__(None, None, None)  # type: ignore[attr-defined]
            options += ["--port", process.url.rstrip("/").rpartition(":")[2]]
        made = serving(tmp_path / "data", *options)
        running.append((made, made.__enter__()))
        return running[-1][1]

    yield again
    running.pop()[0].__exit__(None, None, None)  # type: ignore[attr-defined]


def test_a_killed_server_is_found_again_with_its_jobs(
    browser: "Browser", usual: "BrowserContext", restartable: Restart
) -> None:
    visits = visits_of(browser, usual, restartable().url)
    page = next(visits)("seed=71&x=0&y=0&z=-3")
    world = page.place["world"]
    id = start_export(page)
    has_progress(page, id)
    restartable()
    page.page.wait_for_selector("#connection", state="hidden")
    page.go("x=900000&y=0&z=-3")
    assert page.place["world"] == world
    has_progress(page, id)
    page.complaints.clear()
    cancel(page, id)
    next(visits, None)

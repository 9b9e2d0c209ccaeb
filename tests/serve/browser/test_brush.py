"""The brush: painted, erased, undone, next to pins, and exported as the command line renders it."""

from pathlib import Path

import numpy as np

from tests.cli.conftest import Call, call
from tests.serve.browser.conftest import Open
from tests.serve.browser.test_export import choose, download
from tests.serve.browser.test_styles import carry, centres
from tests.serve.browser.visit import Visit

__all__ = ["call"]
LINE = ((700, 160), (1000, 300))  # px of the window, beside the panel


def take(page: Visit, *, seed: int = 3, size: int = 80, hardness: int = 50) -> None:
    """Choose the brush and a style in the open panel."""
    page.page.click("label:has(#tool-paint)")
    page.page.fill("#brush-size", str(size))
    page.page.fill("#brush-hardness", str(hardness))
    page.page.click(f".swatch[data-seed='{seed}']")


def strokes(page: Visit) -> list[dict]:
    return page.record["world"].get("layout", {}).get("strokes", [])


def test_a_stroke_is_part_of_the_world_and_undo_takes_it_back(visit: Open) -> None:
    page = visit()
    before = page.picture()
    page.panel("styles")
    take(page, size=80, hardness=75)
    page.drag(*LINE)
    page.settle()
    (stroke,) = strokes(page)
    assert stroke == {"points": "60 -80 360 60", "radius": 40, "hardness": 0.75, "style": "style 3"}
    assert (page.picture() != before).any()
    page.page.click("#undo")
    assert np.array_equal(page.settle().picture(), before)


def test_a_coarse_picture_of_the_stroke_comes_before_all_sharp_tiles(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    take(page)
    page.requests.clear()
    page.drag(*LINE)
    page.settle()
    (kind, z), *later = page.asked_pictures
    assert kind == "views"
    assert z < 0
    assert ("tiles", 0) in later
    assert page.page.locator("img.answer").count() == 0  # gone with the sharp tiles


def test_a_stroke_shows_its_picture_while_it_is_painted_and_is_not_saved_before_it_ends(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    take(page)
    revision = page.record["revision"]
    asked: list[tuple[str, str]] = []
    page.page.on("request", lambda request: asked.append((request.method, request.url)))
    mouse = page.page.mouse
    mouse.move(*LINE[0])
    mouse.down()
    mouse.move(850, 230, steps=4)
    page.page.wait_for_selector("img.answer")
    assert page.record["revision"] == revision
    assert {(method, "/views/" in url) for method, url in asked if method != "GET"} == {("POST", True)}
    mouse.move(*LINE[1], steps=4)
    mouse.up()
    page.settle()
    assert len(strokes(page)) == 1
    assert page.page.locator("img.answer").count() == 0
    page.page.click("#undo")
    assert page.settle().record["revision"] == revision


def test_a_second_finger_takes_the_picture_of_an_unfinished_stroke_away(visit: Open) -> None:
    page = visit(size=(900, 480), has_touch=True)
    page.panel("styles")
    take(page)
    devtools = page.page.context.new_cdp_session(page.page)

    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (600, 200))
    touch("touchMove", (700, 250))
    page.page.wait_for_selector("img.answer")
    touch("touchStart", (700, 250), (800, 300))
    page.page.wait_for_selector("img.answer", state="detached")
    touch("touchEnd")
    assert strokes(page.settle()) == []


def test_the_eraser_removes_a_stroke_and_not_the_pins(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 5, 1100, 340)
    before, pins = page.picture(), centres(page)
    take(page, size=60)
    page.drag(*LINE)
    page.settle()
    page.page.click("label:has(#tool-erase)")
    page.page.fill("#brush-size", "200")
    page.drag(*LINE)
    page.settle()
    assert np.abs(page.picture().astype(int) - before).mean() < 0.05  # drawn in other windows, then WebP
    assert centres(page) == pins
    assert [stroke.get("style") for stroke in strokes(page)] == ["style 3", None]


def test_strokes_stay_when_the_last_pin_goes(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 5, 1100, 340)
    take(page)
    page.drag(*LINE)
    page.settle()
    for _ in range(2):
        page.page.locator("#centres li button.icon").first.click()
        page.settle()
    assert centres(page) == []
    assert len(strokes(page)) == 1


def test_enter_paints_in_the_middle_of_the_view_without_a_pointer(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    take(page, size=64)
    page.page.focus("#canvas")
    page.page.keyboard.press("Enter")
    page.settle()
    assert [(stroke["points"], stroke["radius"]) for stroke in strokes(page)] == [("212 0", 32)]


def test_the_export_of_a_painted_world_equals_the_render_of_the_downloaded_one(
    visit: Open, call: Call, scaled_model: Path, tmp_path: Path
) -> None:
    page = visit()
    page.panel("styles")
    carry(page, 5, 1100, 340)
    take(page)
    page.drag(*LINE)
    page.settle()
    page.page.keyboard.press("Escape")
    sides = {"x": 300, "y": -120, "w": 260, "h": 200}
    choose(page, **sides)
    exported = download(page, tmp_path / "canvas.png")
    page.panel("worlds")
    with page.page.expect_download() as started:
        page.page.click("#world-save")
    started.value.save_as(tmp_path / "world.json")
    numbers = [word for side, value in sides.items() for word in (f"--{side}", value)]
    out = tmp_path / "line.png"
    done = call("render", "--model", scaled_model, "--quiet", "--world", tmp_path / "world.json", *numbers, "-o", out)
    assert done[0] == 0
    assert exported.read_bytes() == out.read_bytes()

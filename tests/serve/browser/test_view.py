"""Tools of the view: bookmarks, zoom to fit, grid, ruler, the saved picture, and the list of shortcuts."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.serve.browser.conftest import Open


def test_a_bookmark_leads_back_to_its_place_after_a_reload(visit: Open) -> None:
    page = visit("seed=7&x=5000&y=-300&z=-1")
    page.panel("view")
    page.page.click("#view-keep")
    page.go("x=0&y=0&z=0")
    page.page.reload()
    page.settle()
    page.panel("view")
    page.page.click("#places .place")
    page.settle()
    assert [page.place[name] for name in "xyz"] == ["5000", "-300", "-1"]
    page.page.click("#places .icon")
    assert page.page.locator("#places li").count() == 0


def test_zoom_to_fit_shows_all_strokes(visit: Open) -> None:
    page = visit()
    page.panel("styles")
    page.page.click("label:has(#tool-paint)")
    page.page.click(".swatch[data-seed='3']")
    page.drag((700, 160), (1000, 300))
    page.settle()
    page.go("x=90000&y=0&z=0")
    page.panel("view")
    page.page.click("#view-fit")
    page.settle()
    assert abs(int(page.place["x"]) - 210) < 400


def test_the_saved_picture_is_the_visible_part(visit: Open, tmp_path: Path) -> None:
    page = visit()
    page.panel("view")
    with page.page.expect_download() as started:
        page.page.click("#view-save")
    started.value.save_as(tmp_path / "view.png")
    saved = np.asarray(Image.open(tmp_path / "view.png").convert("RGB"))
    assert np.array_equal(saved, page.picture()[:, -saved.shape[1] :])


def test_grid_ruler_and_shortcuts_answer(visit: Open) -> None:
    page = visit()
    page.page.keyboard.press("?")
    page.page.wait_for_selector("#help-dialog[open]")
    page.page.keyboard.press("Escape")
    page.panel("view")
    page.page.check("#view-grid")
    page.page.wait_for_selector("path.grid-line", state="attached")
    page.page.check("#view-ruler")
    page.page.mouse.click(800, 200)
    page.page.mouse.click(1100, 240)
    assert page.page.inner_text("#view-ruler-px").startswith("303 px")


_DROP = """([name, kind, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type: kind }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_a_photograph_or_a_world_is_dropped_anywhere(visit: Open) -> None:
    page = visit()
    page.page.evaluate(_DROP, ["lake.png", "image/png", "not decoded here"])
    page.page.wait_for_selector("#panel-photo:not([hidden])")
    assert page.page.evaluate("document.querySelector('#photo-file').files[0].name") == "lake.png"
    page.page.evaluate(_DROP, ["hills.json", "application/json", '{"seed": 31}'])
    page.until("document.querySelector('#seed').textContent === 'seed 31'")
    assert page.settle().record["name"] == "hills"


def test_the_overview_map_leads_to_the_place_that_is_pressed(visit: Open) -> None:
    page = visit("seed=7&x=0&y=0&z=0")
    page.panel("view")
    page.page.check("#view-map")
    page.page.wait_for_selector("#overview[aria-busy='false']")
    corner = "document.querySelector('#overview-paper').getContext('2d').getImageData(2, 2, 1, 1).data[3]"
    assert page.page.evaluate(corner) == 255  # of a picture, not of marks on transparent paper
    page.page.click("#overview", position={"x": 20, "y": 65})
    page.settle()
    assert int(page.place["x"]) < -500
    assert abs(int(page.place["y"])) < 200


def test_f_opens_the_full_screen_and_ends_it(visit: Open) -> None:
    page = visit()
    page.page.keyboard.press("f")
    page.until("document.fullscreenElement !== null")
    page.page.keyboard.press("f")
    page.until("document.fullscreenElement === null")

"""A part of the world drawn again, and taken back."""

import numpy as np

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit

CORNERS = (800, 140), (960, 300)  # px of the window


def redraw(page: Visit) -> None:
    page.page.click("#resample-another")
    page.page.wait_for_selector(".chip[aria-pressed=true]")
    page.settle()


def start(visit: Open) -> Visit:
    """A page on which a rectangle is drawn."""
    page = visit()
    page.panel("resample")
    page.draw_rectangle(*CORNERS)
    return page


def test_a_drawn_rectangle_is_exact_to_the_px(visit: Open) -> None:
    page = start(visit)
    values = [page.page.input_value(f"#resample-region [name={side}]") for side in "xywh"]
    assert values == ["160", "-100", "160", "160"]


def test_another_version_changes_the_inside_of_the_rectangle(visit: Open) -> None:
    page = start(visit)
    before = page.picture()
    redraw(page)
    (x0, y0), (x1, y1) = CORNERS
    inside = page.picture()[y0:y1, x0:x1] != before[y0:y1, x0:x1]
    assert inside.mean() > 0.5


def test_undo_gives_the_pixels_back_exactly(visit: Open) -> None:
    page = start(visit)
    before = page.picture()
    redraw(page)
    page.page.click("#undo")
    assert np.array_equal(page.settle().picture(), before)


def test_redo_gives_the_other_version_back_exactly(visit: Open) -> None:
    page = start(visit)
    redraw(page)
    changed = page.picture()
    page.page.click("#undo")
    page.settle()
    page.page.click("#redo")
    assert np.array_equal(page.settle().picture(), changed)


def test_the_keys_for_undo_and_redo_work(visit: Open) -> None:
    page = start(visit)
    first = page.record["revision"]
    redraw(page)
    second = page.record["revision"]
    page.page.keyboard.press("Control+z")
    page.page.wait_for_selector("#redo:enabled")
    assert page.record["revision"] == first
    page.page.keyboard.press("Control+y")
    page.page.wait_for_selector("#redo:disabled")
    assert page.record["revision"] == second


def test_a_seed_of_the_history_gives_its_pixels_again(visit: Open) -> None:
    page = start(visit)
    redraw(page)
    first, seed = page.picture(), page.page.inner_text(".chip")
    redraw(page)
    page.page.click(f".chip:has-text('{seed}')")
    assert np.array_equal(page.settle().picture(), first)


def test_typed_numbers_make_a_rectangle(visit: Open) -> None:
    page = visit()
    page.panel("resample")
    for side, value in zip("xywh", (-64, -64, 128, 96), strict=True):
        page.page.fill(f"#resample-region [name={side}]", str(value))
    page.page.keyboard.press("Tab")
    redraw(page)
    edit = page.record["world"]["edits"][0]
    assert [edit[side] for side in "xywh"] == [-64, -64, 128, 96]


def test_escape_ends_drawing_before_it_closes_the_panel(visit: Open) -> None:
    page = visit()
    page.panel("resample")
    page.page.click("#panel-resample [data-action=draw]")
    page.page.keyboard.press("Escape")
    assert page.page.get_attribute("#panel-resample [data-action=draw]", "aria-pressed") == "false"
    assert page.page.is_visible("#panel-resample")
    page.page.keyboard.press("Escape")
    assert not page.page.is_visible("#panel-resample")


def test_a_change_elsewhere_is_shown_and_told(visit: Open) -> None:
    page = start(visit)
    other = visit("&".join(f"{name}={value}" for name, value in page.place.items()))
    other.panel("resample")
    other.draw_rectangle(*CORNERS)
    redraw(other)
    page.page.click("#resample-another")
    page.says("changed elsewhere")
    page.complaints.clear()  # the browser reports the 412
    assert np.array_equal(page.settle().picture(), other.picture())

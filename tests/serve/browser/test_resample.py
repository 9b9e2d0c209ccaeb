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
    assert inside.any(2).mean() > 0.5


def test_after_a_change_one_coarse_picture_of_it_comes_before_the_sharp_tiles(visit: Open) -> None:
    page = start(visit)
    asked_before = len(page.asked_pictures)
    redraw(page)
    asked = page.asked_pictures[asked_before:]
    assert asked[0] == ("views", -2)
    assert set(asked[1:]) == {("tiles", 0)}


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
    first, seed = page.picture(), page.page.get_attribute(".chip", "aria-label")
    redraw(page)
    assert not np.array_equal(page.picture(), first)
    page.page.click(f".chip[aria-label='{seed}']")
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


def test_a_change_elsewhere_is_kept_below_the_next_one(visit: Open) -> None:
    page = start(visit)
    other = visit("&".join(f"{name}={value}" for name, value in page.place.items()))
    other.panel("resample")
    other.draw_rectangle(*CORNERS)
    redraw(other)
    redraw(page)
    fresh = visit("&".join(f"{name}={value}" for name, value in page.place.items()))
    assert np.array_equal(page.settle().picture(), fresh.settle().picture())
    page.complaints.clear()  # the browser reports the 412, and may do so late


LOOK = (1000, 140), (1160, 300)


def like(visit: Open) -> Visit:
    """A page on which a rectangle is drawn, and another one whose look is wanted but not yet chosen."""
    page = start(visit)
    page.page.check("#resample-like")
    return page


def test_the_look_of_another_region_is_taken(visit: Open) -> None:
    page = like(visit)
    page.page.click("#like-region [data-action=draw]")
    page.drag(*LOOK)
    redraw(page)
    (edit,) = page.record["world"]["edits"]
    assert [edit[side] for side in "xywh"] == [160, -100, 160, 160]
    assert len(edit["mean"]) == len(edit["std"]) > 0


def test_a_region_to_take_the_look_from_must_be_chosen_first(visit: Open) -> None:
    page = like(visit)
    assert not page.page.is_enabled("#resample-another")
    page.page.click("#like-region [data-action=view]")
    assert page.page.is_enabled("#resample-another")


def test_only_one_rectangle_is_drawn_at_a_time(visit: Open) -> None:
    page = like(visit)
    pressed = "#{}-region [data-action=draw]"
    page.page.click(pressed.format("resample"))
    page.page.click(pressed.format("like"))
    states = [page.page.get_attribute(pressed.format(name), "aria-pressed") for name in ("resample", "like")]
    assert states == ["false", "true"]
    page.drag(*LOOK)
    values = [page.page.input_value(f"#{name}-region [name=x]") for name in ("resample", "like")]
    assert values == ["160", "360"]


def test_the_grain_alone_has_no_look_to_take(visit: Open) -> None:
    page = like(visit)
    page.page.select_option("#resample-fields", "noise")
    assert not page.page.is_enabled("#resample-like")
    assert not page.page.is_visible("#like-region")
    redraw(page)
    assert "mean" not in page.record["world"]["edits"][0]


def test_a_seed_of_the_history_keeps_the_look_it_was_drawn_with(visit: Open) -> None:
    page = like(visit)
    page.page.click("#like-region [data-action=view]")
    redraw(page)
    first, seed = page.picture(), page.page.get_attribute(".chip", "aria-label")
    page.page.uncheck("#resample-like")
    redraw(page)
    page.page.click(f".chip[aria-label='{seed}']")
    assert np.array_equal(page.settle().picture(), first)
    (edit,) = page.record["world"]["edits"]
    assert "mean" in edit


def test_a_painted_part_changes_inside_its_halo_only_and_compares_with_before(visit: Open) -> None:
    page = visit()
    page.panel("resample")
    page.page.check("#resample-paint")
    page.page.fill("#resample-size", "120")
    page.drag((800, 200), (900, 240))
    page.page.wait_for_selector("path.halo")
    before, tile = page.picture(), page.fetch_tile(0, 20, 0, "png")
    redraw(page)
    (edit,) = page.record["world"]["edits"]
    assert (edit["points"], edit["radius"]) == ("160 -40 260 0", 60)
    assert (edit["x"], edit["y"], edit["w"], edit["h"]) == (100, -100, 220, 160)
    changed = page.picture()
    assert (changed != before).any()
    assert np.array_equal(page.fetch_tile(0, 20, 0, "png"), tile)
    page.page.wait_for_selector(".version canvas")
    page.page.keyboard.down("b")
    assert np.array_equal(page.settle().picture(), before)
    page.page.keyboard.up("b")
    assert np.array_equal(page.settle().picture(), changed)

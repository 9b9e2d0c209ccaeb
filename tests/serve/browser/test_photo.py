"""Photographs that become part of the world: one that is continued, two that are joined."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit

SCALE = 4  # px of the world for a px of a photograph: the model inverts them at 1/4


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sky over land, 120 x 90 px."""
    path = tmp_path_factory.mktemp("photo") / "land.png"
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[:45], pixels[45:] = (150, 190, 230), (70, 110, 50)
    Image.fromarray(pixels).save(path)
    return path


def send(page: Visit, *photographs: Path, steps: int, **fields: str) -> None:
    """Choose one photograph or two, fill in ``fields`` and begin, with a number of steps that the page does not offer."""
    page.panel("photo")
    for place, photograph in zip(("#photo-file", "#photo-second"), photographs, strict=False):
        page.page.set_input_files(place, photograph)
    for name, value in fields.items():
        page.page.fill(f"#photo-{name}", value)
    page.page.locator("#photo-steps option").first.evaluate("(option, steps) => { option.value = steps; }", str(steps))
    page.page.select_option("#photo-steps", str(steps))
    page.page.click("#photo-start")


def test_the_chosen_photograph_is_shown_before_it_is_sent(visit: Open, photograph: Path) -> None:
    page = visit()
    page.panel("photo")
    page.page.set_input_files("#photo-file", photograph)
    page.page.wait_for_selector("#photo-chosen:not([hidden])")
    assert page.page.inner_text("#photo-hint") == "land.png"


def test_a_photograph_is_continued_and_lies_in_the_world(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, steps=3)
    page.says("part of this world")
    assert len(page.settle().record["world"]["anchors"]) == 1


def test_undo_takes_the_photograph_out_again(visit: Open, photograph: Path) -> None:
    page = visit()
    before = page.record["revision"]
    send(page, photograph, steps=2)
    page.says("part of this world")
    page.page.click("#undo")
    assert page.settle().record["revision"] == before


def test_progress_and_a_live_picture_are_shown_until_it_is_cancelled(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, steps=900)
    page.page.wait_for_selector("#photo-live:not([hidden])")
    page.page.wait_for_selector(".job-words:has-text('of 900')")
    page.page.click("#photo-job [data-action=cancel]")
    page.page.wait_for_selector("#photo-start:enabled")
    assert "anchors" not in page.record["world"]


def test_a_file_that_is_no_photograph_is_refused_in_one_line(visit: Open, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    page = visit()
    send(page, path, steps=2)
    page.page.wait_for_selector(".toast.error")
    page.complaints.clear()  # the browser reports the 400


def test_a_photograph_lies_at_the_left_edge_that_is_typed(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, steps=1, x="-4000")
    page.says("part of this world")
    (centre,) = page.settle().record["world"]["layout"]["centres"]
    assert centre["x"] == -4000 + SCALE * 256 // 2  # the middle of 256 px


def test_the_left_edge_of_the_visible_part_is_used_on_request(visit: Open) -> None:
    page = visit("seed=7&x=900&y=0&z=0")
    page.panel("photo")
    page.page.click("#photo-here")
    panel = page.page.locator("#panel-photo").bounding_box()
    assert panel is not None
    expected = 900 - 640 + panel["x"] + panel["width"]
    assert abs(int(page.page.input_value("#photo-x")) - expected) <= 1


def test_a_left_edge_that_is_no_number_is_refused_in_one_line(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, steps=1, x="here")
    page.says("left edge is a whole number")
    assert page.page.is_enabled("#photo-start")


def test_with_a_second_photograph_there_is_a_gap_instead_of_margins(visit: Open, photograph: Path) -> None:
    page = visit()
    page.panel("photo")
    assert (page.page.is_visible("#photo-left"), page.page.is_visible("#photo-gap")) == (True, False)
    page.page.set_input_files("#photo-second", photograph)
    page.page.wait_for_selector("#photo-gap")
    assert not page.page.is_visible("#photo-left")
    page.page.click("#photo-without")
    assert (page.page.is_visible("#photo-left"), page.page.is_visible("#photo-gap")) == (True, False)
    assert page.page.evaluate("document.activeElement.id") == "photo-second"


def test_two_photographs_are_joined_and_one_undo_takes_both_out(visit: Open, photograph: Path) -> None:
    page = visit()
    before = page.record["revision"]
    send(page, photograph, photograph, steps=1, gap="100")
    page.says("photographs are part of this world")
    world = page.settle().record["world"]
    edges = [centre["x"] for centre in world["layout"]["centres"]]
    assert len(world["anchors"]) == 2
    assert edges[2] - edges[1] == 100 + SCALE  # from the last px of one to the first of the other
    page.page.click("#undo")
    assert page.settle().record["revision"] == before


def test_joining_shows_a_live_picture_until_it_is_cancelled(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, photograph, steps=900)
    page.page.wait_for_selector("#photo-live:not([hidden])")
    page.page.wait_for_selector(".job-words:has-text('of 1800')")
    page.page.click("#photo-job [data-action=cancel]")
    page.page.wait_for_selector("#photo-start:enabled")
    assert "anchors" not in page.record["world"]

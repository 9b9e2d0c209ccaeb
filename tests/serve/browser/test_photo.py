"""A photograph that becomes part of the world."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sky over land, 120 x 90 px."""
    path = tmp_path_factory.mktemp("photo") / "land.png"
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[:45], pixels[45:] = (150, 190, 230), (70, 110, 50)
    Image.fromarray(pixels).save(path)
    return path


def send(page: Visit, photograph: Path, *, steps: int) -> None:
    """Choose the photograph and begin, with a number of steps that the page does not offer."""
    page.panel("photo")
    page.page.set_input_files("#photo-file", photograph)
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

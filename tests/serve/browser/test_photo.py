"""Photographs that become part of the world: one that is continued, two that are joined."""

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen import World
from tests.cli.conftest import Call, call
from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Picture, Visit

__all__ = ["call"]
SCALE = 4  # px of the world for a px of a photograph: the model inverts them at 1/4


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sky over land, 120 x 90 px."""
    path = tmp_path_factory.mktemp("photo") / "land.png"
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[:45], pixels[45:] = (150, 190, 230), (70, 110, 50)
    Image.fromarray(pixels).save(path)
    return path


def send(page: Visit, *photographs: Path, steps: int, samples: int = 1, **fields: str) -> None:
    """Choose one photograph or two, fill in ``fields`` and begin, with a number of steps that the page does not offer."""
    begin(page, *photographs, steps=steps, samples=samples, **fields)
    page.page.wait_for_selector("#panel-jobs:not([hidden])")


def begin(page: Visit, *photographs: Path, steps: int, samples: int = 1, **fields: str) -> None:
    """The same without waiting for the job."""
    page.panel("photo")
    for place, photograph in zip(("#photo-file", "#photo-second"), photographs, strict=False):
        page.page.set_input_files(place, photograph)
    if photographs[0].suffix == ".png" and "notes" not in photographs[0].name:
        page.page.wait_for_selector(".placing", state="attached")
    for name, value in fields.items():
        page.page.fill(f"#photo-{name}", value)
    page.page.locator("#photo-steps option").first.evaluate("(option, steps) => { option.value = steps; }", str(steps))
    page.page.select_option("#photo-steps", str(steps))
    page.page.select_option("#photo-samples", str(samples))
    page.page.click("#photo-start")


def test_the_chosen_photograph_is_shown_before_it_is_sent(visit: Open, photograph: Path) -> None:
    page = visit()
    page.panel("photo")
    page.page.set_input_files("#photo-file", photograph)
    page.page.wait_for_selector("#photo-chosen:not([hidden])")
    assert page.page.inner_text("#photo-hint") == "land.png"


def test_a_pasted_photograph_is_chosen_in_the_panel_of_photographs(visit: Open, photograph: Path) -> None:
    page = visit()
    page.page.evaluate(_PASTE, base64.b64encode(photograph.read_bytes()).decode())
    page.page.wait_for_selector("#panel-photo #photo-chosen:not([hidden])")
    assert page.page.inner_text("#photo-hint") == "pasted.png"


_PASTE = """data => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


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
    cancel(page, "of 900")
    assert "anchors" not in page.record["world"]


def cancel(page: Visit, words: str) -> None:
    """Cancel the newest job once it shows a live picture and ``words``."""
    row = page.page.locator("#jobs .job").first
    row.locator(".job-words", has_text=words).wait_for()
    row.locator(".job-picture[src*=preview]").wait_for()
    row.get_by_role("button", name="Cancel").click()
    row.locator(".job-words", has_text="Cancelled").wait_for()


def test_a_file_that_is_no_photograph_is_refused_in_one_line(visit: Open, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    page = visit()
    begin(page, path, steps=2)
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
    begin(page, photograph, steps=1, x="here")
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
    gap = round(100 / (90 / 197))  # px at working size of 100 px of the photographs
    assert edges[2] - edges[1] == SCALE * (gap + 1)  # from the last px of one to the first of the other
    page.page.click("#undo")
    assert page.settle().record["revision"] == before


def test_joining_shows_a_live_picture_until_it_is_cancelled(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, photograph, steps=900)
    cancel(page, "of 1800")
    assert "anchors" not in page.record["world"]


def test_a_photograph_lies_on_the_canvas_and_is_dragged_before_it_is_continued(visit: Open, photograph: Path) -> None:
    page = visit("seed=7&x=0&y=0&z=-2")
    page.panel("photo")
    page.page.set_input_files("#photo-file", photograph)
    box = page.page.locator(".placing").bounding_box()
    assert box is not None
    x = int(page.page.input_value("#photo-x"))
    start = (box["x"] + box["width"] / 2, 240)
    page.drag(start, (start[0] + 40, start[1] - 24))
    assert int(page.page.input_value("#photo-x")) == x + 4 * 40
    assert int(page.page.input_value("#photo-y")) == -SCALE * 197 // 2 - 4 * 24
    page.page.focus(".placing")
    page.page.keyboard.press("ArrowLeft")
    assert int(page.page.input_value("#photo-x")) == x + 4 * (40 - 16)


def test_one_of_four_continuations_is_chosen_exported_and_downloaded_as_the_command_line_draws_it(
    visit: Open, call: Call, photograph: Path, scaled_model: Path, data: Path, tmp_path: Path
) -> None:
    page = visit("seed=7&x=0&y=0&z=0")
    send(page, photograph, steps=2, samples=4, x="-256", y="-384", right="60", left="0")
    row = page.page.locator("#jobs .job").first
    row.locator(".continuations button").nth(3).wait_for()
    page.says("part of this world")
    row.locator(".continuations button").nth(2).click()
    row.locator(".continuations button[aria-pressed=true][aria-label='Continuation 3']").wait_for()
    record = page.settle().record
    (anchor,) = record["world"]["anchors"]
    assert anchor["seed"] == page.ask("jobs")[0]["continuations"][2]["seed"]

    row.get_by_role("button", name="Download this picture").click()
    page.page.wait_for_selector(".job .job-title:has-text('Picture')")
    picture = save(page, "picture", tmp_path / "picture.png")
    own = np.asarray(Image.open(photograph))
    assert np.array_equal(picture[:, :120], own)
    assert picture.shape == (90, 180, 3)

    page.panel("export")
    for side, value in {"x": -300, "y": -100, "w": 700, "h": 90}.items():
        page.page.fill(f"#export-region [name={side}]", str(value))
    page.page.keyboard.press("Tab")
    page.page.click("#export-start")
    exported = save(page, "export", tmp_path / "export.png")
    document = tmp_path / "world.json"
    World.create(**page.settle().record["world"]).in_folder(data / "worlds" / record["id"]).save(document)
    words = ["--x", -300, "--y", -100, "--w", 700, "--h", 90, "--model", scaled_model, "--quiet"]
    assert call("render", "--world", document, *words, "-o", tmp_path / "line.png")[0] == 0
    assert np.array_equal(exported, np.asarray(Image.open(tmp_path / "line.png")))


def save(page: Visit, kind: str, to: Path) -> Picture:
    """Download the result of the newest job of a kind, and return its pixels."""
    row = page.page.locator(".job", has_text=f"{kind.capitalize()} ·").first
    with page.page.expect_download() as started:
        row.locator(".job-result").click()
    started.value.save_as(to)
    return np.asarray(Image.open(to))


def test_the_slider_shows_the_model_instead_of_the_photograph(visit: Open, photograph: Path) -> None:
    page = visit()
    send(page, photograph, steps=1, x="-128")
    page.says("part of this world")
    page.settle()
    page.panel("photo")
    page.page.locator("#photo-opacity").fill("0")
    page.settle()
    page.until("document.querySelector('canvas[data-shown*=\":model\"]') !== null")

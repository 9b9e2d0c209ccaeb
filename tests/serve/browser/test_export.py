"""A rectangle of the canvas as a file."""

from pathlib import Path

import pytest

from infgen import World
from tests.cli.conftest import Call, call
from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit

__all__ = ["call"]
SIDES = {"x": -70, "y": -33, "w": 301, "h": 150}


def choose(page: Visit, **sides: int) -> None:
    page.panel("export")
    for side, value in sides.items():
        page.page.fill(f"#export-region [name={side}]", str(value))
    page.page.keyboard.press("Tab")


def download(page: Visit, to: Path) -> Path:
    """Export and save the file under the name ``to``."""
    page.page.click("#export-start")
    page.page.wait_for_selector("#panel-jobs:not([hidden])")  # the job is listed
    with page.page.expect_download() as started:
        page.page.locator("#jobs .job").first.locator(".job-result").click()
    started.value.save_as(to)
    return to


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_an_exported_picture_equals_that_of_the_command_line_bit_for_bit(
    visit: Open, call: Call, scaled_model: Path, tmp_path: Path, ending: str
) -> None:
    page = visit()
    choose(page, **SIDES)
    page.page.select_option("#export-format", ending)
    exported = download(page, tmp_path / f"canvas.{ending}")
    World.create(**page.record["world"]).save(tmp_path / "world.json")
    numbers = [word for side, value in SIDES.items() for word in (f"--{side}", value)]
    where = tmp_path / f"line.{ending}"
    code, _, _ = call(
        "render", "--model", scaled_model, "--quiet", "--world", tmp_path / "world.json", *numbers, "-o", where
    )
    assert code == 0
    assert exported.read_bytes() == where.read_bytes()


def test_the_visible_part_excludes_open_panels(visit: Open) -> None:
    page = visit()
    page.panel("export")
    page.page.click("#panel-export [data-action=view]")
    values = [int(page.page.input_value(f"#export-region [name={side}]")) for side in "xywh"]
    assert values == [-216, -240, 856, 480]


def test_the_size_is_estimated_before_anything_is_drawn(visit: Open) -> None:
    page = visit()
    choose(page, x=0, y=0, w=4000, h=2000)
    assert "8.00 Mpx" in page.page.inner_text("#export-estimate")


def test_the_page_refuses_pictures_too_large_for_the_format(visit: Open) -> None:
    page = visit()
    choose(page, x=0, y=0, w=20_000, h=10)
    page.page.select_option("#export-format", "webp")
    assert "choose TIFF or PNG" in page.page.inner_text("#export-estimate")
    assert page.page.is_disabled("#export-start")


def test_an_export_can_be_cancelled(visit: Open) -> None:
    page = visit()
    choose(page, x=0, y=0, w=8192, h=8192)
    page.page.click("#export-start")
    page.page.wait_for_selector("#panel-jobs:not([hidden])")
    row = page.page.locator("#jobs .job").first
    row.get_by_role("button", name="Cancel").click()
    row.locator(".job-words", has_text="Cancelled").wait_for()
    assert not row.locator(".job-result").is_visible()

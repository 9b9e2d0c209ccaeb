"""Test refusals before any work: names, sizes, disks, missing libraries."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infgen import vips
from infgen.errors import InputError, LimitError, MissingExtraError
from infgen.sinks import FORMATS, Format, Grid, check_picture, format_of, open_sink, picture_size
from infgen.sinks.files.work_folder import folder_of
from tests.sinks.pictures import FILES, GRID, PROVENANCE, begin, names, noise, save

FILE_FORMATS = [f for f in FORMATS if not f.is_store]


def refusal(path: Path, *, size: tuple[int, int] = (300, 200), file_format: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_sink(path, Grid(*size, 64, 64), PROVENANCE, file_format=file_format)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.gif", (8, 8), "extension '.gif'; allowed are .png, .jpg, .jpeg, .webp, .tif, .tiff, .dzi, .zarr"),
        ("a", (8, 8), "extension '(none)'"),
        (
            "a.jpg",
            (65_501, 8),
            "JPEG holds at most 65,500 px per side, not 65,501 x 8 px; write PNG (.png) or BigTIFF (.tif)",
        ),
        ("a.webp", (8, 16_384), "write PNG (.png) or JPEG (.jpg) or BigTIFF (.tif) or DeepZoom (.dzi)"),
        ("a.webp", (8, 65_536), "write PNG (.png) or BigTIFF (.tif)"),
        (
            "a.png",
            (200_000, 200_000),
            "PNG holds at most 10,000,000,000 px in all, so that programs can open it, not 200,000 x",
        ),
        ("a.png", (200_000, 200_000), "; write BigTIFF (.tif) or DeepZoom (.dzi) or OME-Zarr (.zarr) instead"),
        ("a.png", (1, 100_000_001), "write OME-Zarr (.zarr) instead"),
        ("a.png", (0, 8), "is empty"),
        ("a.png", (8, -8), "is empty"),
        ("a.tif", (10**6, 10**5 + 1), "raise INFGEN_MAX_PIXELS"),
        ("missing/a.png", (8, 8), "does not exist"),
        ("folder.png", (8, 8), "is a folder"),
    ],
)
def test_impossible_requests_are_refused_in_one_line_and_leave_no_files(
    name: str, size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    text = refusal(tmp_path / name, size=size)
    assert message in text
    assert "\n" not in text
    assert [p.name for p in tmp_path.rglob("*")] == ["folder.png"]


@pytest.mark.parametrize(
    ("name", "file_format", "message"),
    [
        ("a.png", "cog", "extension '.png'; COG takes .tif or .tiff"),
        ("a.tif", "png", "extension '.tif'; PNG takes .png"),
        ("a.tif", "gif", "format 'gif' is not known; allowed are png, jpeg, webp, tiff, cog, dzi, zarr, ome-zarr-0.4"),
    ],
)
def test_a_format_that_does_not_fit_the_name_is_refused(
    name: str, file_format: str, message: str, tmp_path: Path
) -> None:
    assert message in refusal(tmp_path / name, file_format=file_format)


@pytest.mark.parametrize("file_format", FORMATS, ids=lambda f: f.key)
def test_every_format_is_found_by_its_name(file_format: Format) -> None:
    for extension in file_format.extensions:
        assert format_of(f"a{extension.upper()}", file_format.key) == file_format


def test_without_a_format_the_extension_of_a_tiff_means_tiff() -> None:
    assert format_of("a.tif").key == "tiff"


def test_a_disk_without_room_for_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = check_picture(tmp_path / "a.png", GRID).disk_bytes(GRID.width, GRID.height)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    assert "of disk" in refusal(tmp_path / "a.png")
    assert names(tmp_path) == []


def test_disk_space_of_an_unfinished_picture_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path / "a.png", range(20))
    needed = format_of("a.png").disk_bytes(GRID.width, GRID.height)
    held = (folder_of(tmp_path / "a.png") / "canvas").stat().st_blocks * 512
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - held))
    assert check_picture(tmp_path / "a.png", GRID, start="resume").key == "png"


def test_the_disk_of_a_cog_covers_both_of_its_stages() -> None:
    tiff, cog = (format_of("a.tif", key).disk_bytes(10_000, 10_000) for key in ("tiff", "cog"))
    assert cog - tiff > 4 * 10_000**2


@pytest.mark.parametrize("file_format", FILE_FORMATS, ids=lambda f: f.key)
def test_the_estimate_of_the_disk_covers_canvas_and_files_of_noise(file_format: Format, tmp_path: Path) -> None:
    """Noise does not shrink: the worst case. The part of the estimate that does not grow with the picture is left out."""
    name = FILES[file_format.key]
    save(tmp_path / name, noise(width=700, height=600), file_format=file_format.key, step=300)
    written = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    stages = 2 if file_format.key == "cog" else 1
    assert stages * written + 700 * 600 * 3 <= file_format.disk_bytes(700, 600) - file_format.disk_bytes(1, 1)


@pytest.mark.parametrize("name", FILES.values())
def test_a_missing_image_library_is_refused_before_anything_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    vips.load.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'pyvips\[binary\]'"):
        open_sink(tmp_path / name, GRID, PROVENANCE)
    vips.load.cache_clear()
    assert names(tmp_path) == []


def test_opening_no_sink_loads_no_image_library() -> None:
    code = "import sys, infgen.sinks; raise SystemExit('pyvips' in sys.modules or 'zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_limit_of_pixels_can_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PIXELS", "100")
    with pytest.raises(LimitError, match="more than 100 px"):
        check_picture(tmp_path / "a.png", Grid(11, 10, 5, 5))


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65_500), ("a.webp", 16_383), ("a.png", 1_000_001)])
def test_a_side_as_long_as_the_format_holds_is_written(name: str, side: int, tmp_path: Path) -> None:
    """PNG holds more; libraries that load it stop at 1,000,000 by default."""
    save(tmp_path / name, noise(width=side, height=1), step=2**20)
    assert picture_size(tmp_path / name) == (side, 1)

"""Names of outputs that the user did not name."""

import os
from pathlib import Path

import pytest

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.rendering import output_names
from infgen.rendering.output_names import free_path, picture_stem, picture_suffix, source_stem


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_free_name_has_no_number():
    assert free_path("photo-panorama", ".png") == Path("photo-panorama.png")


def test_a_taken_name_gets_the_first_free_number():
    for name in ("a.png", "a-2.png", "a-4.png"):
        Path(name).touch()
    assert free_path("a", ".png") == Path("a-3.png")


def test_a_broken_link_takes_a_name():
    Path("a.png").symlink_to("nowhere")
    assert free_path("a", ".png") == Path("a-2.png")


def test_a_name_is_taken_if_one_of_its_companions_is():
    Path("a.world.json").touch()
    assert free_path("a", ".png", companions=lambda path: [path.with_suffix(".world.json")]) == Path("a-2.png")


def test_a_name_that_was_written_before_the_claim_is_taken():
    def claim(path: Path) -> bool:
        if path == Path("a.png"):
            path.touch()
        return True

    assert free_path("a", ".png", claim=claim) == Path("a-2.png")


def test_a_folder_that_is_not_writable_is_refused_with_the_option(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(output_names.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="is not writable; name the output with -o"):
        free_path("a", ".png")


@pytest.mark.parametrize(
    ("path", "stem"), [("x/photo.jpg", "photo"), ("a.world.json", "a"), ("layout.json", "layout"), ("a.b.png", "a.b")]
)
def test_a_stem_has_neither_folder_nor_extension(path: str, stem: str):
    assert source_stem(path) == stem


def test_a_long_name_is_cut_between_two_letters():
    stem = source_stem("é" * 126 + ".jpg")
    assert stem == "é" * 60
    assert len(os.fsencode(stem)) == 120


@pytest.mark.parametrize(
    ("width", "height", "suffix"),
    [
        (8192, 8192, ".png"),
        (32_767, 5_461, ".png"),
        (32_768, 16, ".tif"),
        (16_384, 16_384, ".tif"),
        (10**8, 8, ".tif"),
        (10**9, 8, ".zarr"),
    ],
)
def test_pictures_that_png_readers_refuse_are_bigtiff_or_zarr(width: int, height: int, suffix: str):
    assert picture_suffix(width, height) == suffix


def test_a_chosen_format_decides_on_the_extension():
    assert picture_suffix(10, 10, "jpeg") == ".jpg"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"source": Path("x/layout.json")}, "layout-80x60-seed-3"),
        ({}, "world-80x60-seed-3"),
        ({"at_origin": False}, "world-80x60-x-5-y7-seed-3"),
    ],
)
def test_the_name_of_a_picture_is_its_content(values: dict[str, object], name: str):
    assert picture_stem(Region(-5, 7, 80, 60), seed=-3, **values) == name  # type: ignore[arg-type]

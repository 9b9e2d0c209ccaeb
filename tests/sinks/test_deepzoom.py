import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.errors import InputError
from infgen.sinks import Box, Grid, open_sink, picture_size, read_provenance, read_region
from infgen.sinks.encoders.cascade import half
from tests.sinks.pictures import GRID, PROVENANCE, Pixels, begin, names, noise, save, write

WIDTH, HEIGHT = 1301, 1030
PICTURE = noise(width=WIDTH, height=HEIGHT)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("dzi") / "a.dzi", PICTURE, step=400)


def level(path: Path, number: int, size: tuple[int, int]) -> Pixels:
    """The tiles of one level put together, as a viewer does."""
    picture = Image.new("RGB", size)
    for file in (path.with_name("a_files") / str(number)).iterdir():
        column, row = map(int, file.stem.split("_"))
        with Image.open(file) as tile:
            picture.paste(tile, (512 * column, 512 * row))
    return np.asarray(picture)


def test_every_level_is_the_mean_of_the_one_before(path: Path) -> None:
    expected = PICTURE
    for number in range(11, -1, -1):
        height, width, _ = expected.shape
        np.testing.assert_array_equal(level(path, number, (width, height)), expected)
        expected = half(expected)


def test_the_smallest_level_is_one_pixel(path: Path) -> None:
    with Image.open(path.with_name("a_files") / "0" / "0_0.png") as tile:
        assert tile.size == (1, 1)


def test_the_description_contains_the_entries_that_viewers_need(path: Path) -> None:
    text = path.read_text()
    assert 'Format="png" Overlap="0" TileSize="512"><Size Width="1301" Height="1030"/>' in text


def test_the_provenance_stands_with_the_tiles(path: Path) -> None:
    assert json.loads((path.with_name("a_files") / "infgen.json").read_text()) == read_provenance(path) == PROVENANCE


@pytest.mark.parametrize(
    "box", [Box(0, 0, 1, 1), Box(500, 500, 30, 30), Box(100, 3, 1201, 1000), Box(1300, 1029, 1, 1)]
)
def test_any_box_is_read_back(box: Box, path: Path) -> None:
    np.testing.assert_array_equal(read_region(path, box), PICTURE[box.y : box.y + box.h, box.x : box.x + box.w])


def test_an_older_pair_is_replaced_as_a_whole(tmp_path: Path) -> None:
    save(tmp_path / "a.dzi", PICTURE)
    save(tmp_path / "a.dzi", noise())
    assert picture_size(tmp_path / "a.dzi") == (300, 200)
    assert names(tmp_path / "a_files") == sorted(["infgen.json", *map(str, range(10))])
    assert names(tmp_path) == ["a.dzi", "a_files"]


def test_tiles_that_a_crash_left_without_a_description_are_replaced(tmp_path: Path) -> None:
    save(tmp_path / "a.dzi", PICTURE).unlink()
    save(tmp_path / "a.dzi", noise())
    assert picture_size(tmp_path / "a.dzi") == (300, 200)


def test_a_folder_of_another_program_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a_files").mkdir()
    (tmp_path / "a_files" / "thesis.doc").write_text("precious")
    with pytest.raises(InputError, match=r"\A\S*a_files exists and is not a DeepZoom picture[^\n]*\Z"):
        open_sink(tmp_path / "a.dzi", GRID, PROVENANCE)


def test_an_unfinished_picture_shows_no_description(tmp_path: Path) -> None:
    begin(tmp_path / "a.dzi", range(24))
    assert names(tmp_path) == [".a.dzi.infgen"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Image/>",
        '<Image Format="../png" Overlap="0" TileSize="512"><Size Width="8" Height="8"/></Image>',
        '<Image Format="png" Overlap="x" TileSize="512"><Size Width="8" Height="8"/></Image>',
        '<Image Format="png" Overlap="0" TileSize="0"><Size Width="8" Height="8"/></Image>',
        '<Image Format="png" Overlap="0" TileSize="512"><Size Width="8" Height="99999999999"/></Image>',
    ],
)
def test_a_file_that_is_not_a_description_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.dzi").write_text(text)
    with pytest.raises(InputError, match=r"\A[^\n]*is not a DeepZoom description[^\n]*\Z"):
        picture_size(tmp_path / "a.dzi")


def test_a_picture_of_another_program_has_no_provenance(tmp_path: Path) -> None:
    save(tmp_path / "a.dzi", noise())
    (tmp_path / "a_files" / "infgen.json").unlink()
    assert read_provenance(tmp_path / "a.dzi") is None


def test_a_missing_tile_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.dzi", noise())
    (tmp_path / "a_files" / "9" / "0_0.png").unlink()
    with pytest.raises(InputError, match=r"0_0\.png cannot be read"):
        read_region(tmp_path / "a.dzi", Box(0, 0, 8, 8))


def test_a_tile_of_another_size_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.dzi", noise())
    Image.new("RGB", (8, 8)).save(tmp_path / "a_files" / "9" / "0_0.png")
    with pytest.raises(InputError, match="has 8 x 8 px"):
        read_region(tmp_path / "a.dzi", Box(0, 0, 8, 8))


@pytest.mark.parametrize("overlap", [1, 4])
def test_tiles_share_the_pixels_of_their_overlap(overlap: int, tmp_path: Path) -> None:
    picture = noise(width=1301, height=1600)  # more rows than are kept
    grid = Grid(1301, 1600, 400, 400)
    with open_sink(tmp_path / "a.dzi", grid, PROVENANCE, overlap=overlap) as sink:
        write(sink, picture, grid)
        sink.finish()
    assert f'Overlap="{overlap}"' in (tmp_path / "a.dzi").read_text()
    expected = picture
    for number in range(11, 8, -1):
        for file in (tmp_path / "a_files" / str(number)).iterdir():
            x, y = (512 * int(part) for part in file.stem.split("_"))
            rows, columns = slice(max(0, y - overlap), y + 512 + overlap), slice(max(0, x - overlap), x + 512 + overlap)
            with Image.open(file) as tile:
                np.testing.assert_array_equal(np.asarray(tile), expected[rows, columns])
        expected = half(expected)
    for box in (Box(500, 500, 30, 30), Box(100, 3, 1201, 1500), Box(1300, 1599, 1, 1)):
        part = picture[box.y : box.y + box.h, box.x : box.x + box.w]
        np.testing.assert_array_equal(read_region(tmp_path / "a.dzi", box), part)
    assert names(tmp_path) == ["a.dzi", "a_files"]

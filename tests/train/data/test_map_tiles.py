"""Tiles of a map: where they lie, which are kept, which maps are accepted."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from infgen.errors import InputError
from infgen.train.data.map_tiles import Corner, Tiling, choose_tiles, cut_tiles, list_corners, water_share

SEA, LAND = (10, 20, 90), (150, 130, 70)


def save_map(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def two_halves(height: int = 64, width: int = 128) -> np.ndarray:
    """Land on the left, sea on the right."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = LAND, SEA
    return pixels


def test_tiles_lie_at_every_step_inside_the_rows():
    corners = list_corners(100, 90, Tiling(size=40, step=20, rows=(10, 80)))
    assert corners == [Corner(x, y) for y in (10, 30) for x in (0, 20, 40, 60)]


def test_tiles_of_a_map_that_wraps_begin_at_every_column():
    assert [c.x for c in list_corners(100, 40, Tiling(size=40, step=20, wraps=True))] == [0, 20, 40, 60, 80]


@pytest.mark.parametrize(
    ("tiling", "words"),
    [
        (Tiling(size=41, step=20), "tiles of 41 px do not fit"),
        (Tiling(size=20, step=20, rows=(10, 25)), "15 rows used"),
        (Tiling(size=20, step=20, rows=(30, 10)), "rows 30 to 10"),
        (Tiling(size=20, step=20, rows=(0, 41)), "allowed are 0 to 40"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(tiling: Tiling, words: str):
    with pytest.raises(InputError, match=words):
        list_corners(100, 40, tiling)


def test_water_is_bluer_than_red():
    assert water_share(two_halves()) == 0.5
    assert water_share(np.full((4, 4, 3), 255, np.uint8)) == 0  # snow


@pytest.mark.parametrize(("balance", "kept"), [(0, 8), (0.2, 10), (0.5, 16), (1, 20)])
def test_the_balance_limits_open_sea(balance: float, kept: int):
    chosen = choose_tiles([0.1] * 8 + [1.0] * 12, balance)
    assert chosen[:8] == list(range(8))
    assert len(chosen) == kept


def test_a_tile_has_the_pixels_of_the_map(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    result = cut_tiles(save_map(tmp_path / "map.png", pixels), tmp_path / "tiles", Tiling(size=20, step=10, balance=1))
    assert result.written == len(list((tmp_path / "tiles").iterdir())) == 20
    assert np.array_equal(np.asarray(Image.open(tmp_path / "tiles/y000010-x000030.png")), pixels[10:30, 30:50])


def test_a_tile_crosses_the_edges_of_a_map_that_wraps(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8)
    cut_tiles(
        save_map(tmp_path / "map.png", pixels), tmp_path / "tiles", Tiling(size=20, step=10, wraps=True, balance=1)
    )
    found = np.asarray(Image.open(tmp_path / "tiles/y000000-x000050.png"))
    assert np.array_equal(found, np.concatenate([pixels[:, 50:], pixels[:, :10]], axis=1))


def test_tiles_that_are_transparent_in_part_are_left_out(tmp_path: Path):
    alpha = np.full((64, 128, 1), 255, np.uint8)
    alpha[:, 100:] = 0
    source = save_map(tmp_path / "map.png", np.concatenate([two_halves(), alpha], axis=2))
    result = cut_tiles(source, tmp_path / "tiles", Tiling(size=32, step=32, balance=1))
    assert result == (6, 0, 2)
    for file in (tmp_path / "tiles").iterdir():
        with Image.open(file) as tile:
            assert tile.mode == "RGB"


@pytest.mark.parametrize("kind", ["grey", "grey16"])
def test_a_map_of_one_band_gives_grey_tiles_in_colour(tmp_path: Path, kind: str):
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    values = ramp.astype(np.uint8) if kind == "grey" else (ramp * 257).astype(np.uint16)
    cut_tiles(save_map(tmp_path / "map.png", values), tmp_path / "tiles", Tiling(size=64, step=64))
    tile = np.asarray(Image.open(tmp_path / "tiles/y000000-x000000.png"))
    assert tile.shape == (64, 64, 3)
    assert np.abs(tile.astype(int) - ramp[..., None]).max() <= 1.5


def test_a_map_of_open_sea_leaves_nothing_and_writes_nothing(tmp_path: Path):
    source = save_map(tmp_path / "map.png", np.full((64, 64, 3), SEA, np.uint8))
    with pytest.raises(InputError, match=r"no tile .* is left"):
        cut_tiles(source, tmp_path / "tiles", Tiling(size=32, step=32, balance=0))
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_geotiff_of_8_or_16_bits_gives_its_colours(tmp_path: Path, depth: type[np.generic]):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(depth)
    georeference = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (33922, "d", 6, (0.0,) * 6, True)]
    scale = 257 if depth is np.uint16 else 1
    tifffile.imwrite(tmp_path / "map.tif", pixels * scale, photometric="rgb", tile=(32, 32), extratags=georeference)
    cut_tiles(tmp_path / "map.tif", tmp_path / "tiles", Tiling(size=64, step=64))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "tiles/y000000-x000000.png")), pixels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((64, 64), np.float32), "has values of type float, not colours"),
        (np.zeros((64, 64), np.int16), "has values of type short, not colours"),
        (np.zeros((64, 64, 7), np.uint8), "has 7 bands; give one or three"),
    ],
)
def test_a_map_of_measurements_is_refused(tmp_path: Path, values: np.ndarray, words: str):
    tifffile.imwrite(tmp_path / "map.tif", values, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=words):
        cut_tiles(tmp_path / "map.tif", tmp_path / "tiles", Tiling(size=32, step=32))
    assert not (tmp_path / "tiles").exists()


def test_a_cut_file_is_no_map(tmp_path: Path):
    whole = save_map(tmp_path / "map.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole.write_bytes(whole.read_bytes()[:4000])
    with pytest.raises(InputError, match="cannot be read"):
        cut_tiles(whole, tmp_path / "tiles", Tiling(size=32, step=32))
    assert not (tmp_path / "tiles").exists()

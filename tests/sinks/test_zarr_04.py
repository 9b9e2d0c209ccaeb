"""Test OME-Zarr 0.4 on Zarr v2: what its readers need, and that it resumes and reads back like 0.5."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError
from infgen.rendering.inspect import describe
from infgen.sinks import Box, Grid, find_unfinished, open_sink, picture_size, read_provenance, read_region
from infgen.sinks.zarr import chunks, store
from infgen.sinks.zarr.versions import OME_04
from tests.sinks.pictures import GRID, PROVENANCE, noise, write

zarr = pytest.importorskip("zarr")

KEY = "ome-zarr-0.4"
WHOLE = Box(0, 0, GRID.width, GRID.height)
LARGE = Grid(1030, 611, 256, 130)


def save(path: Path | str, grid: Grid = GRID, **options: Any) -> None:
    with open_sink(path, grid, PROVENANCE, file_format=KEY, **options) as sink:
        write(sink, noise(width=grid.width, height=grid.height), grid)
        sink.finish()


def begun(path: Path | str, numbers: list[int], file_format: str = KEY) -> None:
    with open_sink(path, GRID, PROVENANCE, file_format=file_format) as sink:
        write(sink, noise(), numbers=numbers)


def document(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


@pytest.mark.parametrize("grid", [GRID, Grid(1, 1, 1, 1), Grid(1, 700, 1, 101), Grid(513, 3, 100, 3), LARGE], ids=str)
def test_zarr_alone_reads_the_pixels_bit_for_bit(grid: Grid, tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", grid)
    array = zarr.open_group(tmp_path / "a.zarr", mode="r", zarr_format=2)["0"]
    np.testing.assert_array_equal(array[:].transpose(1, 2, 0), noise(width=grid.width, height=grid.height))


def test_no_file_of_zarr_3_is_written(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    assert list(tmp_path.rglob("zarr.json")) == []
    assert document(tmp_path / "a.zarr/.zgroup") == {"zarr_format": 2}


def test_the_arrays_are_those_that_readers_of_zarr_2_know(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    array = document(tmp_path / "a.zarr/0/.zarray")
    assert array == {
        "zarr_format": 2,
        "shape": [3, 200, 300],
        "chunks": [3, 48, 64],
        "dtype": "|u1",
        "order": "C",
        "fill_value": 0,
        "filters": None,
        "compressor": {"id": "zlib", "level": chunks.ZLIB_LEVEL},
        "dimension_separator": "/",
    }


def test_the_metadata_are_those_of_ome_zarr_0_4(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", LARGE)
    attributes = document(tmp_path / "a.zarr/.zattrs")
    (multiscale,) = attributes["multiscales"]
    assert sorted(attributes) == ["infgen", "multiscales", "omero"]
    assert (multiscale["version"], multiscale["name"]) == ("0.4", "a")
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    assert multiscale["datasets"][2] == {
        "path": "2",
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, 4.0, 4.0]},
            {"type": "translation", "translation": [0.0, 1.5, 1.5]},
        ],
    }
    assert [channel["color"] for channel in attributes["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]


def test_both_versions_hold_the_same_levels(tmp_path: Path) -> None:
    save(tmp_path / "new.zarr", LARGE)
    with open_sink(tmp_path / "old.zarr", LARGE, PROVENANCE) as sink:
        write(sink, noise(width=LARGE.width, height=LARGE.height), LARGE)
        sink.finish()
    new, old = (zarr.open_group(tmp_path / name, mode="r") for name in ("new.zarr", "old.zarr"))
    assert sorted(new) == sorted(old) == ["0", "1", "2"]
    for level in new:
        np.testing.assert_array_equal(new[level][:], old[level][:])


def test_it_is_read_like_any_other_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    save(path)
    assert (picture_size(path), describe(path)) == ((300, 200), {"kind": "picture", **PROVENANCE})
    np.testing.assert_array_equal(read_region(path, Box(37, 51, 200, 99)), noise()[51:150, 37:237])


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_resumed_picture_is_the_same(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr" if place == "disk" else f"memory://{tmp_path.name}-04/a.zarr"
    begun(path, [0, 3, 24])
    assert find_unfinished(path, KEY) == (3, 25)
    with open_sink(path, GRID, PROVENANCE, start="resume", file_format=KEY) as sink:
        assert (sorted(sink.done), sink.format.key) == ([0, 3, 24], KEY)
        write(sink, noise())
        sink.finish()
    np.testing.assert_array_equal(read_region(path, WHOLE), noise())


@pytest.mark.parametrize("damage", [b"", b"damaged", zlib.compress(bytes(10**7)), zlib.compress(b"short")])
def test_a_damaged_chunk_is_drawn_again(damage: bytes, tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [0, 6])
    (tmp_path / ".a.zarr.infgen/0/0/1/1").write_bytes(damage)
    with open_sink(tmp_path / "a.zarr", GRID, PROVENANCE, start="resume", file_format=KEY) as sink:
        assert sink.done == {0}


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr/0/0/1/1"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)
    with pytest.raises(InputError, match=r"0/0/1/1 of .* is missing or damaged"):
        read_region(tmp_path / "a.zarr", WHOLE)


@pytest.mark.parametrize(("first", "second"), [("zarr", KEY), (KEY, "zarr")])
def test_a_picture_of_one_version_is_not_resumed_as_the_other(first: str, second: str, tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [0], first)
    with pytest.raises(InputError, match=f"format was {first} and is {second}"):
        open_sink(tmp_path / "a.zarr", GRID, PROVENANCE, start="resume", file_format=second)
    assert find_unfinished(tmp_path / "a.zarr") == (1, 25)


@pytest.mark.parametrize(("first", "second"), [("zarr", KEY), (KEY, "zarr")])
def test_restart_leaves_nothing_of_the_other_version(first: str, second: str, tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [0], first)
    with open_sink(tmp_path / "a.zarr", GRID, PROVENANCE, start="restart", file_format=second) as sink:
        write(sink, noise())
        sink.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert (tmp_path / "a.zarr/zarr.json").exists() == (second == "zarr")
    assert (tmp_path / "a.zarr/.zattrs").exists() == (second == KEY)


def test_a_store_without_tiles_leaves_no_files(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["new", "resume", "restart"])
def test_a_zarr_of_another_program_is_never_changed(start: Any, tmp_path: Path) -> None:
    zarr.create_group(store=tmp_path / "a.zarr", attributes={"multiscales": []}, zarr_format=2)
    with pytest.raises(InputError, match="is not a Zarr made by infgen"):
        open_sink(tmp_path / "a.zarr", GRID, PROVENANCE, start=start, file_format=KEY)
    assert read_provenance(tmp_path / "a.zarr") is None


def test_the_estimate_of_the_disk_covers_noise(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", Grid(1024, 768, 256, 256))
    size = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert size <= 1024 * 768 * (store._TILE_BYTES + store._COPY_BYTES)


json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=4)


@pytest.fixture(scope="module")
def finished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "a.zarr"
    save(path, Grid(8, 8, 8, 8))
    return path


@given(key=st.sampled_from(["shape", "chunks", "compressor", "dimension_separator", "dtype"]), value=json_values)
def test_damaged_metadata_of_an_array_give_one_line(finished_store: Path, key: str, value: Any) -> None:
    array = finished_store / "0" / OME_04.array
    whole = array.read_text()
    array.write_text(json.dumps(json.loads(whole) | {key: value}))
    try:
        with pytest.raises(InputError):
            read_region(finished_store, Box(0, 0, 8, 8))
    finally:
        array.write_text(whole)

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InfgenError, InputError, LimitError, MissingExtraError
from infgen.sinks import pyramid
from infgen.sinks.grid import Box, Grid
from infgen.sinks.zarr import (
    ZarrSink,
    check_store,
    chunks,
    find_unfinished,
    hold,
    is_done,
    picture_size,
    read_provenance,
    read_region,
    store,
    write_chunk,
)

zarr = pytest.importorskip("zarr")

PROVENANCE = {"infgen": "1.2.3", "world": {"seed": 1}, "tile": [64, 64]}
GRID = Grid(300, 200, 64, 48)  # 5 x 5 tiles, cut off at both edges
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def noise(grid: Grid = GRID) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (grid.height, grid.width, 3), dtype=np.uint8)


def tile(picture: Pixels, box: Box) -> Pixels:
    return picture[box.y : box.y + box.h, box.x : box.x + box.w]


def write(sink: ZarrSink, picture: Pixels, numbers: list[int] | None = None, grid: Grid = GRID) -> None:
    order = np.random.default_rng(1).permutation(grid.count) if numbers is None else numbers
    for number in map(int, order):
        if number not in sink.done:
            sink.write_tile(number, tile(picture, grid.box(number)))


def save(path: Path | str, grid: Grid = GRID, **options: Any) -> Pixels:
    picture = noise(grid)
    with ZarrSink(str(path), grid, PROVENANCE, **options) as sink:
        write(sink, picture, grid=grid)
        sink.finish()
    return picture


def begun(path: Path | str, numbers: list[int], grid: Grid = GRID) -> Pixels:
    """A picture of which only the tiles ``numbers`` are there."""
    picture = noise(grid)
    with ZarrSink(str(path), grid, PROVENANCE) as sink:
        write(sink, picture, numbers, grid)
    return picture


def work(path: Path) -> Path:
    return path.parent / f".{path.name}.infgen"


def attributes(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "zarr.json").read_bytes())["attributes"])


@pytest.fixture
def url() -> Iterator[str]:
    """An empty place in fsspec's memory."""
    import fsspec

    name = f"memory://{uuid.uuid4().hex}/a.zarr"
    yield name
    with contextlib.suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm(name, recursive=True)


@pytest.mark.parametrize(
    "grid",
    [
        GRID,
        Grid(1, 1, 1, 1),
        Grid(1, 700, 1, 101),
        Grid(513, 3, 100, 3),
        Grid(64, 48, 64, 48),
        Grid(1030, 611, 256, 130),
    ],
    ids=str,
)
def test_zarr_alone_reads_the_pixels_bit_for_bit(grid: Grid, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.zarr", grid)
    array = zarr.open_group(tmp_path / "a.zarr", mode="r")["0"]
    np.testing.assert_array_equal(array[:].transpose(1, 2, 0), picture)


def test_only_the_finished_store_is_left(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_finished_store_holds_nothing_but_zarr(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(group.members()) == sorted((name, group[name]) for name in group)  # a foreign file would warn


def test_chunks_are_tiles_that_carry_a_checksum(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    array = zarr.open_group(tmp_path / "a.zarr", mode="r")["0"]
    assert (array.chunks, [type(c).__name__ for c in array.compressors]) == ((3, 48, 64), ["ZstdCodec", "Crc32cCodec"])


def test_a_black_tile_has_a_chunk_too(tmp_path: Path) -> None:
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE) as sink:
        sink.write_tile(3, np.zeros((48, 64, 3), np.uint8))
    assert find_unfinished(str(tmp_path / "a.zarr")) == (1, 25)


def plain_mean(picture: Pixels) -> Pixels:
    height, width, _ = picture.shape
    result = np.zeros(((height + 1) // 2, (width + 1) // 2, 3), np.uint8)
    for y, x in np.ndindex(result.shape[:2]):
        block = picture[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(-1, 3).astype(float)
        result[y, x] = np.floor(block.mean(0) + 0.5)
    return result


def test_each_level_is_the_mean_of_the_one_before(tmp_path: Path) -> None:
    grid = Grid(1101, 37, 129, 20)
    expected = save(tmp_path / "a.zarr", grid)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(group) == ["0", "1", "2"]
    for level in ("1", "2"):
        expected = plain_mean(expected)
        np.testing.assert_array_equal(group[level][:].transpose(1, 2, 0), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_halving_is_the_mean_rounded_half_up(height: int, width: int, seed: int) -> None:
    planes = np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    np.testing.assert_array_equal(pyramid.halve(planes).transpose(1, 2, 0), plain_mean(planes.transpose(1, 2, 0)))


@given(st.integers(1, 2**40), st.integers(1, 2**40))
def test_the_smallest_level_fits_a_screen_and_every_level_halves(width: int, height: int) -> None:
    sizes = [(grid.width, grid.height) for grid in pyramid.levels(Grid(width, height, 1000, 1000))]
    assert max(sizes[-1]) <= pyramid.SMALLEST_PX
    assert all(b == (-(-a[0] // 2), -(-a[1] // 2)) for a, b in itertools.pairwise(sizes))


def test_the_metadata_are_those_of_ome_zarr(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", Grid(1030, 611, 256, 130))
    ome = attributes(tmp_path / "a.zarr")["ome"]
    (multiscale,) = ome["multiscales"]
    assert ome["version"] == "0.5"
    assert [(axis["name"], axis["type"]) for axis in multiscale["axes"]] == [
        ("c", "channel"),
        ("y", "space"),
        ("x", "space"),
    ]
    assert multiscale["datasets"][2] == {
        "path": "2",
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, 4.0, 4.0]},
            {"type": "translation", "translation": [0.0, 1.5, 1.5]},
        ],
    }
    assert [(c["label"], c["color"], c["active"]) for c in ome["omero"]["channels"]] == [
        ("red", "FF0000", True),
        ("green", "00FF00", True),
        ("blue", "0000FF", True),
    ]


def test_every_dataset_names_an_array_with_the_names_of_the_axes(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr", Grid(1030, 611, 256, 130))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    paths = [one["path"] for one in attributes(tmp_path / "a.zarr")["ome"]["multiscales"][0]["datasets"]]
    assert [group[path].metadata.dimension_names for path in paths] == [("c", "y", "x")] * len(paths)
    assert sorted(group) == paths


def test_the_provenance_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    assert read_provenance(str(tmp_path / "a.zarr")) == PROVENANCE


def test_regions_come_back(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.zarr")
    rng = np.random.default_rng(3)
    for _ in range(20):
        x, y = int(rng.integers(0, 300)), int(rng.integers(0, 200))
        box = Box(x, y, int(rng.integers(1, 301 - x)), int(rng.integers(1, 201 - y)))
        np.testing.assert_array_equal(read_region(str(tmp_path / "a.zarr"), box), tile(picture, box))


def test_the_size_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    assert picture_size(str(tmp_path / "a.zarr")) == (300, 200)


def test_a_region_outside_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    with pytest.raises(InputError, match="is not inside"):
        read_region(str(tmp_path / "a.zarr"), Box(299, 0, 2, 1))


def test_a_store_in_memory_behaves_like_one_on_disk(url: str) -> None:
    picture = save(url)
    np.testing.assert_array_equal(read_region(url, Box(0, 0, 300, 200)), picture)
    assert (read_provenance(url), picture_size(url), find_unfinished(url)) == (PROVENANCE, (300, 200), None)


def test_zarr_alone_reads_a_store_in_memory(url: str) -> None:
    picture = save(url)
    np.testing.assert_array_equal(zarr.open_group(url, mode="r")["0"][:].transpose(1, 2, 0), picture)


def test_the_levels_are_reported_as_progress(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    grid = Grid(1030, 611, 256, 130)
    with ZarrSink(str(tmp_path / "a.zarr"), grid, PROVENANCE) as sink:
        write(sink, noise(grid), grid=grid)
        sink.finish(progress=lambda done, total: calls.append((done, total)))
    total = 515 * 306 + 258 * 153
    assert calls[-1] == (total, total)


def test_an_unfinished_file_has_a_temporary_name(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [0, 7])
    assert [p.name for p in tmp_path.iterdir()] == [".a.zarr.infgen"]
    assert find_unfinished(str(tmp_path / "a.zarr")) == (2, 25)


def test_a_store_without_tiles_leaves_no_files(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [])
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_of_a_picture_are_written_last(url: str) -> None:
    begun(url, [0])
    assert sorted(store.read_attributes(store.open_cached(url))) == ["infgen_unfinished"]


def test_a_picture_is_not_finished_while_tiles_are_missing(tmp_path: Path) -> None:
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE) as sink:
        write(sink, noise(), list(range(24)))
        with pytest.raises(InfgenError, match=r"1 of 25 tiles of \S+ are missing"):
            sink.finish()


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_resumed_picture_is_the_same(place: str, tmp_path: Path, url: str) -> None:
    path = str(tmp_path / "a.zarr") if place == "disk" else url
    picture = begun(path, [0, 3, 24])
    with ZarrSink(path, GRID, PROVENANCE, start="resume") as sink:
        assert sink.done == {0, 3, 24}
        write(sink, picture)
        sink.finish()
    np.testing.assert_array_equal(read_region(path, Box(0, 0, 300, 200)), picture)


def flip_bit(chunk: Path) -> None:
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda chunk: chunk.write_bytes(b""),
    "cut off": lambda chunk: chunk.write_bytes(chunk.read_bytes()[:-7]),
    "with a wrong bit": flip_bit,
    "too long": lambda chunk: chunk.write_bytes(chunk.read_bytes() + b"\0" * 50_000),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
@pytest.mark.parametrize("number", [6, 24])  # a whole chunk, and one that is cut off at the edges
def test_a_chunk_that_is_not_whole_is_drawn_again(damage: str, number: int, tmp_path: Path) -> None:
    picture = begun(tmp_path / "a.zarr", [0, 6, 24])
    DAMAGE[damage](work(tmp_path / "a.zarr") / f"0/c/0/{number // 5}/{number % 5}")
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE, start="resume") as sink:
        assert sink.done == {0, 6, 24} - {number}
        write(sink, picture)
        sink.finish()
    np.testing.assert_array_equal(read_region(str(tmp_path / "a.zarr"), Box(0, 0, 300, 200)), picture)


@given(st.binary(max_size=200), st.integers(0, 2**31), st.booleans())
def test_no_bytes_crash_the_decoder(data: bytes, cut: int, right_checksum: bool) -> None:
    frame = chunks.library("numcodecs.zstd").Zstd(level=1).encode(noise(Grid(8, 8, 8, 8)))
    frame = data if cut % 2 else bytes(frame[: cut % len(frame)]) + data
    storage: Any = SimpleNamespace(get=lambda key, limit: frame + chunks._checksum(frame) if right_checksum else frame)
    result = chunks.get_chunk(storage, Grid(8, 8, 8, 8), level=0, number=0)
    assert result is None or result.shape == (3, 8, 8)


def test_a_chunk_that_decodes_to_more_than_a_tile_is_damaged(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [0])
    frame = bytes(chunks.library("numcodecs.zstd").Zstd(level=3).encode(np.zeros(10**8, np.uint8)))  # 10 kB
    (work(tmp_path / "a.zarr") / "0/c/0/0/0").write_bytes(frame + chunks._checksum(frame))
    assert not is_done(str(tmp_path / "a.zarr"), GRID, 0)


def test_files_that_a_killed_process_was_writing_are_removed(tmp_path: Path) -> None:
    picture = begun(tmp_path / "a.zarr", [0])
    (work(tmp_path / "a.zarr") / "0/c/0/0/.1234.partial").write_bytes(b"half")
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE, start="resume") as sink:
        write(sink, picture)
        sink.finish()
    assert list(tmp_path.rglob("*.partial")) == []


def test_arrays_that_were_not_created_yet_are_created_on_resuming(tmp_path: Path) -> None:
    picture = begun(tmp_path / "a.zarr", [0])
    (work(tmp_path / "a.zarr") / "0/zarr.json").unlink()
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE, start="resume") as sink:
        write(sink, picture)
        sink.finish()
    assert picture_size(str(tmp_path / "a.zarr")) == (300, 200)


def test_resuming_where_nothing_is_begins_anew(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.zarr", start="resume")
    np.testing.assert_array_equal(read_region(str(tmp_path / "a.zarr"), Box(0, 0, 300, 200)), picture)


def test_a_render_that_was_killed_before_it_took_its_name_needs_no_tile_again(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    os.rename(tmp_path / "a.zarr", work(tmp_path / "a.zarr"))
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE, start="resume") as sink:
        assert len(sink.done) == GRID.count
        sink.finish()
    assert read_provenance(str(tmp_path / "a.zarr")) == PROVENANCE


KILLED = """
import os, sys, numpy as np
from infgen.sinks.grid import Grid
from infgen.sinks.zarr import ZarrSink
grid = Grid(300, 200, 64, 48)
sink = ZarrSink(sys.argv[1], grid, {"infgen": "1.2.3", "world": {"seed": 1}, "tile": [64, 64]})
picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
for number in range(grid.count):
    if number == 20:
        os._exit(9)
    box = grid.box(number)
    sink.write_tile(number, picture[box.y : box.y + box.h, box.x : box.x + box.w])
"""


def test_a_killed_process_loses_only_the_tiles_in_flight(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.zarr")], check=False).returncode == 9
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE, start="resume") as sink:
        assert 12 <= len(sink.done) <= 20
        write(sink, noise())
        sink.finish()
    np.testing.assert_array_equal(read_region(str(tmp_path / "a.zarr"), Box(0, 0, 300, 200)), noise())


def refusal_of(path: Path | str, start: str = "new", provenance: dict[str, Any] = PROVENANCE, grid: Grid = GRID) -> str:
    with pytest.raises(InputError) as caught:
        ZarrSink(str(path), grid, provenance, start=start)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_an_unfinished_picture_is_not_begun_anew_by_accident(place: str, tmp_path: Path, url: str) -> None:
    path = str(tmp_path / "a.zarr") if place == "disk" else url
    begun(path, [1, 2])
    expected = f"an unfinished render of {path} exists (2 of 25 tiles); add --resume to continue it or --restart"
    assert expected in refusal_of(path)
    assert find_unfinished(path) == (2, 25)


def test_restart_begins_anew(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [1, 2])
    with ZarrSink(str(tmp_path / "a.zarr"), Grid(10, 10, 10, 10), PROVENANCE, start="restart") as sink:
        assert sink.done == frozenset()
        sink.write_tile(0, np.zeros((10, 10, 3), np.uint8))
    assert find_unfinished(str(tmp_path / "a.zarr")) == (1, 1)


def test_resuming_with_other_options_names_the_differences(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [1])
    text = refusal_of(tmp_path / "a.zarr", "resume", PROVENANCE | {"world": {"seed": 2}})
    assert "world.seed was 1 and is 2" in text


def test_resuming_with_other_tiles_is_refused(tmp_path: Path) -> None:
    begun(tmp_path / "a.zarr", [1])
    assert "tiles were" in refusal_of(tmp_path / "a.zarr", "resume", grid=Grid(300, 200, 32, 48))


def test_a_finished_store_on_disk_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    old = save(tmp_path / "a.zarr")
    with ZarrSink(str(tmp_path / "a.zarr"), Grid(9, 9, 9, 9), PROVENANCE) as sink:
        sink.write_tile(0, np.zeros((9, 9, 3), np.uint8))
        np.testing.assert_array_equal(read_region(str(tmp_path / "a.zarr"), Box(0, 0, 300, 200)), old)
        sink.finish()
    assert picture_size(str(tmp_path / "a.zarr")) == (9, 9)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("start", ["new", "resume"])
def test_a_finished_picture_behind_a_url_is_not_overwritten(start: str, url: str) -> None:
    save(url)
    assert "is a finished picture" in refusal_of(url, start)
    assert read_provenance(url) == PROVENANCE


def test_a_finished_picture_behind_a_url_is_replaced_on_demand(url: str) -> None:
    save(url)
    save(url, Grid(9, 9, 9, 9), start="restart")
    assert picture_size(url) == (9, 9)
    np.testing.assert_array_equal(zarr.open_group(url, mode="r")["0"].shape, (3, 9, 9))


@pytest.mark.parametrize("start", ["new", "resume", "restart"])
def test_files_that_infgen_did_not_make_are_never_removed(start: str, tmp_path: Path, url: str) -> None:
    import fsspec

    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/thesis.txt").write_text("mine")
    zarr.create_group(store=tmp_path / "b.zarr", attributes={"ome": {}})
    (tmp_path / "c.zarr").write_text("a file")
    fsspec.filesystem("memory").pipe_file(f"{url}/thesis.txt", b"mine")
    for path in (tmp_path / "a.zarr", tmp_path / "b.zarr", tmp_path / "c.zarr", url):
        assert "is not a Zarr made by infgen" in refusal_of(path, start)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zarr", "b.zarr", "c.zarr", "thesis.txt", "zarr.json"]
    assert fsspec.filesystem("memory").cat_file(f"{url}/thesis.txt") == b"mine"


@pytest.mark.parametrize("start", ["new", "resume", "restart"])
def test_a_foreign_work_folder_is_never_removed(start: str, tmp_path: Path) -> None:
    work(tmp_path / "a.zarr").mkdir()
    (work(tmp_path / "a.zarr") / "thesis.txt").write_text("mine")
    refusal_of(tmp_path / "a.zarr", start)
    assert (work(tmp_path / "a.zarr") / "thesis.txt").read_text() == "mine"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal_of(tmp_path / "none/a.zarr")


def test_checking_creates_nothing(tmp_path: Path) -> None:
    check_store(str(tmp_path / "a.zarr"), GRID, "new")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=200_000))
    with pytest.raises(LimitError, match="of disk"):
        check_store(str(tmp_path / "a.zarr"), GRID, "new")


def test_the_estimate_of_the_disk_covers_noise(tmp_path: Path) -> None:
    grid = Grid(1024, 768, 256, 256)
    save(tmp_path / "a.zarr", grid)
    size = sum(p.stat().st_size for p in (tmp_path / "a.zarr").rglob("*") if p.is_file())
    assert size <= 1024 * 768 * (store._TILE_BYTES + store._COPY_BYTES)


def test_a_protocol_whose_library_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    store.open_cached.cache_clear()
    with pytest.raises(MissingExtraError, match="pip install s3fs"):
        check_store("s3://bucket/a.zarr", GRID, "new")


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot be used .*give a path"):
        check_store("magic://bucket/a.zarr", GRID, "new")


def test_without_zarr_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    chunks.library.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'infgen\[zarr\]'"):
        check_store(str(tmp_path / "a.zarr"), GRID, "new")
    chunks.library.cache_clear()


def test_opening_no_store_loads_no_library() -> None:
    code = "import sys, infgen.sinks.zarr; raise SystemExit(bool({'zarr', 'fsspec', 'numcodecs'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_place_that_takes_no_data_is_refused_in_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(self: object, path: str, data: bytes, **options: object) -> None:
        raise PermissionError(13, "Access\nDenied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    assert "cannot be written" in refusal_of(url)


def test_a_full_disk_keeps_the_tiles_that_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.sinks.zarr import storage

    sink = ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE)
    write(sink, noise(), [0, 1, 2])
    sink._stored.update(sink._wait(0))

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_write_durably", refuse)
        sink.write_tile(3, tile(noise(), GRID.box(3)))
        with pytest.raises(InfgenError, match="No space left on device"):
            sink.close()
    assert find_unfinished(str(tmp_path / "a.zarr")) == (3, 25)


def test_two_processes_do_not_write_one_store(tmp_path: Path) -> None:
    with open(tmp_path / ".a.zarr.infgen.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4711")
        file.flush()
        assert "is being written by process 4711" in refusal_of(tmp_path / "a.zarr")


def test_a_lock_file_of_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / ".a.zarr.infgen.lock").write_text("4711")
    with hold(str(tmp_path / "a.zarr")):
        assert (tmp_path / ".a.zarr.infgen.lock").read_text().strip() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "shape"), [(-1, (48, 64, 3)), (25, (48, 64, 3)), (0, (48, 63, 3)), (24, (48, 64, 3)), (0, (3, 48, 64))]
)
def test_a_tile_of_another_grid_is_refused(number: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE) as sink, pytest.raises(ValueError, match="tile"):
        sink.write_tile(number, np.zeros(shape, np.uint8))


def test_any_process_may_write_a_chunk(tmp_path: Path) -> None:
    picture = noise()
    with ZarrSink(str(tmp_path / "a.zarr"), GRID, PROVENANCE) as sink:
        sink.write_tile(0, tile(picture, GRID.box(0)))
        write_chunk(str(tmp_path / "a.zarr"), GRID, 9, tile(picture, GRID.box(9)))
    assert find_unfinished(str(tmp_path / "a.zarr")) == (2, 25)


def test_a_finished_picture_with_a_damaged_chunk_is_reported(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    (tmp_path / "a.zarr/0/c/0/1/1").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"0/c/0/1/1 of .* is missing or damaged"):
        read_region(str(tmp_path / "a.zarr"), Box(0, 0, 300, 200))


def test_a_zarr_of_another_program_has_no_provenance(tmp_path: Path) -> None:
    zarr.create_group(store=tmp_path / "a.zarr", attributes={"ome": {}})
    assert read_provenance(str(tmp_path / "a.zarr")) is None


def test_provenance_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PROVENANCE_MB", "1")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(LimitError, match="INFGEN_MAX_PROVENANCE_MB"):
        read_provenance(str(tmp_path / "a.zarr"))


def test_an_array_with_other_codecs_is_not_read(tmp_path: Path) -> None:
    save(tmp_path / "a.zarr")
    document = tmp_path / "a.zarr/0/zarr.json"
    document.write_text(document.read_text().replace('"zstd"', '"numcodecs.pickle"'))
    with pytest.raises(InputError, match="no picture of infgen"):
        read_region(str(tmp_path / "a.zarr"), Box(0, 0, 1, 1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def finished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "a.zarr"
    save(path, Grid(8, 8, 8, 8))
    return path


@given(key=st.sampled_from(["shape", "chunk_grid", "codecs", "chunk_key_encoding", "data_type"]), value=json_values)
def test_damaged_metadata_of_an_array_give_one_line(finished_store: Path, key: str, value: Any) -> None:
    whole = (finished_store / "0/zarr.json").read_text()
    (finished_store / "0/zarr.json").write_text(json.dumps(json.loads(whole) | {key: value}))
    try:
        with pytest.raises(InputError):
            read_region(str(finished_store), Box(0, 0, 8, 8))
    finally:
        (finished_store / "0/zarr.json").write_text(whole)


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_damaged_metadata_of_the_root_give_one_line(finished_store: Path, data: bytes) -> None:
    whole = (finished_store / "zarr.json").read_bytes()
    (finished_store / "zarr.json").write_bytes(data)
    try:
        with pytest.raises(InputError):
            picture_size(str(finished_store))
    finally:
        (finished_store / "zarr.json").write_bytes(whole)

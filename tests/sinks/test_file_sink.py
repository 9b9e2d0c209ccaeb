"""Test the common behaviour of file sinks: exact pixels, background work, resume, and no incomplete files."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infgen.errors import InfgenError
from infgen.sinks import Grid, find_unfinished, open_sink, read_provenance
from infgen.sinks.files import file_sink
from infgen.sinks.files.work_file import WorkFile
from infgen.sinks.files.work_folder import folder_of
from tests.patience import until
from tests.sinks.pictures import (
    FILES,
    GRID,
    PROVENANCE,
    begin,
    finish,
    names,
    noise,
    save,
    smooth,
    tile,
    whole,
    write,
)

KINDS = pytest.mark.parametrize("kind", FILES)
LOSSLESS = pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "jpeg"])
OUTPUTS = {"a.dzi": ["a.dzi", "a_files"]}
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def _poll_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sink, "POLL_S", 0.005)


@LOSSLESS
def test_tiles_in_any_order_give_the_picture_bit_for_bit(kind: str, tmp_path: Path) -> None:
    save(tmp_path / FILES[kind], noise(), file_format=kind)
    np.testing.assert_array_equal(whole(tmp_path / FILES[kind]), noise())


@LOSSLESS
def test_a_picture_with_smaller_copies_is_kept_bit_for_bit(kind: str, tmp_path: Path) -> None:
    picture = noise(width=1301, height=1030)
    save(tmp_path / FILES[kind], picture, file_format=kind, step=400)
    np.testing.assert_array_equal(whole(tmp_path / FILES[kind]), picture)


def test_a_jpeg_holds_the_pixels_closely(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", smooth())
    assert np.abs(whole(tmp_path / "a.jpg").astype(int) - smooth()).max() <= 6


@KINDS
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (50, 1)])
def test_the_smallest_pictures_are_written(kind: str, width: int, height: int, tmp_path: Path) -> None:
    save(tmp_path / FILES[kind], noise(width=width, height=height), file_format=kind)
    assert whole(tmp_path / FILES[kind]).shape == (height, width, 3)


@KINDS
def test_the_provenance_is_found_in_the_picture(kind: str, tmp_path: Path) -> None:
    save(tmp_path / FILES[kind], noise(), file_format=kind)
    assert read_provenance(tmp_path / FILES[kind]) == PROVENANCE


@KINDS
def test_only_the_finished_picture_is_left(kind: str, tmp_path: Path) -> None:
    name = FILES[kind]
    save(tmp_path / name, noise(), file_format=kind)
    assert names(tmp_path) == OUTPUTS.get(name, [name])


@KINDS
def test_an_older_picture_is_replaced_only_at_the_end(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / FILES[kind], smooth(), file_format=kind)
    before = whole(path)
    with open_sink(path, GRID, PROVENANCE, file_format=kind) as sink:
        write(sink, noise())
        np.testing.assert_array_equal(whole(path), before)
        sink.finish()
    assert (whole(path) != before).any()


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "cog", "dzi"])
def test_the_encoder_works_before_the_last_tiles_are_there(kind: str, tmp_path: Path) -> None:
    grid, path = Grid(600, 2000, 600, 100), tmp_path / FILES[kind]

    def is_encoded() -> bool:
        files = (p for p in folder_of(path).rglob("*") if p.is_file() and p.name.endswith(("picture", ".png")))
        return sum(file.stat().st_size for file in files) > 100_000

    with open_sink(path, grid, PROVENANCE, file_format=kind) as sink:
        write(sink, noise(width=600, height=2000), grid, numbers=range(grid.count - 1))
        until(is_encoded)


def test_nothing_is_encoded_before_the_first_rows_are_there(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=range(1, GRID.count))
        time.sleep(0.05)
        assert not (folder_of(tmp_path / "a.png") / "picture").exists()


def test_a_tile_may_be_changed_after_it_was_written(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        for number in range(GRID.count):
            buffer = tile(noise(), GRID, number).copy()
            sink.write_tile(number, buffer)
            buffer[:] = 0
        sink.finish()
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


def test_a_tile_written_again_changes_nothing(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=[*range(GRID.count), 3, 4, 5])
        sink.finish()
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


@pytest.mark.parametrize(
    ("number", "shape"), [(0, (47, 64, 3)), (4, (48, 64, 3)), (25, (48, 64, 3)), (-1, (48, 64, 3)), (0, (48, 64))]
)
def test_a_tile_that_is_not_of_the_grid_is_refused(number: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink, pytest.raises(ValueError, match="tile"):
        sink.write_tile(number, np.zeros(shape, np.uint8))


def test_finishing_without_all_tiles_is_refused(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=range(24))
        with pytest.raises(ValueError, match="1 of 25 tiles are missing"):
            sink.finish()


def test_progress_counts_pixels_up_to_all_of_them(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise())
        sink.finish(progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (300 * 200, 300 * 200)
    assert calls == sorted(calls)


def test_progress_is_reported_in_the_thread_of_the_caller(tmp_path: Path) -> None:
    threads: set[threading.Thread] = set()
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise())
        sink.finish(progress=lambda done, total: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


@KINDS
def test_a_closed_picture_is_resumed_where_it_was_left(kind: str, tmp_path: Path) -> None:
    path = tmp_path / FILES[kind]
    with open_sink(path, GRID, PROVENANCE, file_format=kind) as sink:
        write(sink, noise(), numbers=range(3, 20))
    with open_sink(path, GRID, PROVENANCE, file_format=kind, start="resume") as sink:
        assert sink.done == frozenset(range(3, 20))
        write(sink, noise())
        sink.finish()
    clean = save(tmp_path / ("clean_" + path.name), noise(), file_format=kind)
    np.testing.assert_array_equal(whole(path), whole(clean))


def test_an_unfinished_picture_keeps_only_files_needed_to_resume(tmp_path: Path) -> None:
    begin(tmp_path / "a.tif", range(20))
    assert names(tmp_path) == [".a.tif.infgen"]
    assert names(folder_of(tmp_path / "a.tif")) == ["canvas", "journal", "lock", "recipe.json"]


def test_closing_before_the_first_tile_leaves_nothing(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.png", GRID, PROVENANCE)
    sink.close()
    sink.close()
    assert names(tmp_path) == []


def test_tiles_that_were_taken_are_stored_on_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = WorkFile.sync
    monkeypatch.setattr(WorkFile, "sync", lambda self: (time.sleep(0.02), slow(self)))
    begin(tmp_path / "a.png", range(20))
    assert find_unfinished(tmp_path / "a.png") == (20, 25)


def fail_between_tiles(path: Path, error: type[BaseException]) -> None:
    with open_sink(path, GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=range(9))
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_or_interrupt_between_tiles_keeps_finished_tiles(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        fail_between_tiles(tmp_path / "a.png", error)
    assert finish(tmp_path / "a.png") == frozenset(range(9))


CRASH = """
import os, sys
from tests.sinks.pictures import *
from infgen.sinks.files import journal
from infgen.sinks.files.work_file import WorkFile
after = int(sys.argv[2])
pwrite, calls = os.pwrite, [0]
def dies(file, data, offset):
    calls[0] += 1
    if calls[0] > after:
        pwrite(file, data[:len(data) // 2], offset)
        os._exit(9)
    return pwrite(file, data, offset)
sink = open_sink(sys.argv[1], GRID, PROVENANCE)
os.pwrite = dies
for number in range(GRID.count):
    sink.write_tile(number, tile(noise(), GRID, number))
sink.close()
"""


@pytest.mark.parametrize("after", [100, 777])
def test_a_process_that_dies_while_it_writes_loses_only_tiles_in_flight(after: int, tmp_path: Path) -> None:
    """``after``: positioned writes; a tile takes up to 48."""
    path = tmp_path / "a.tif"
    done = subprocess.run([sys.executable, "-c", CRASH, str(path), str(after)], check=False)
    assert done.returncode == 9
    finish(path)
    np.testing.assert_array_equal(whole(path), noise())


def test_a_journalled_tile_with_a_damaged_pixel_is_not_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(20))
    with open(folder_of(tmp_path / "a.png") / "canvas", "r+b") as file:
        file.seek(3 * (300 * 60 + 70))  # px (70, 60): tile 6
        file.write(b"\0\0\0")
    assert finish(tmp_path / "a.png") == frozenset(range(20)) - {6}
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


def test_tiles_below_the_cut_of_a_short_canvas_are_not_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(20))
    os.truncate(folder_of(tmp_path / "a.png") / "canvas", 3 * 300 * 100)  # in the third row of tiles
    assert finish(tmp_path / "a.png") == frozenset(range(10))
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


def test_tiles_without_an_entry_in_the_journal_are_not_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(20))
    journal = folder_of(tmp_path / "a.png") / "journal"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:6]) + b"torn")
    assert finish(tmp_path / "a.png") == frozenset(range(6))


def fill_up(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    write_at, calls = os.pwrite, [0]

    def refuse(file: int, data: Any, offset: int) -> int:
        calls[0] += 1
        if calls[0] > after:
            raise FULL
        return write_at(file, data, offset)

    monkeypatch.setattr(os, "pwrite", refuse)


def write_until_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sink(path, GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=[0])
        until(lambda: find_unfinished(path) is not None)
        fill_up(monkeypatch, 100)
        write(sink, noise(), numbers=range(1, GRID.count))
        sink.finish()


def test_a_full_disk_between_tiles_is_reported_and_finished_tiles_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = r"\A[^\n]*No space left on device; free some disk space[^\n]*\Z"
    with pytest.raises(InfgenError, match=line):
        write_until_full(tmp_path / "a.png", monkeypatch)
    monkeypatch.undo()
    assert 0 in finish(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), noise())


def test_a_full_disk_is_reported_at_the_latest_on_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(tmp_path / "a.png", GRID, PROVENANCE)
    fill_up(monkeypatch, 0)
    sink.write_tile(0, tile(noise(), GRID, 0))
    with pytest.raises(InfgenError, match="No space left on device"):
        sink.close()
    assert names(tmp_path) == []


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


@KINDS
def test_an_interrupt_stops_the_encoder_and_keeps_all_tiles(kind: str, tmp_path: Path) -> None:
    path, grid = tmp_path / FILES[kind], Grid(2048, 2048, 1024, 1024)
    with open_sink(path, grid, PROVENANCE, file_format=kind) as sink:
        write(sink, noise(width=2048, height=2048), grid)
        with pytest.raises(KeyboardInterrupt):
            sink.finish(progress=interrupt)
    assert names(tmp_path) == [f".{path.name}.infgen"]
    assert find_unfinished(path, kind) == (4, 4)


def test_a_picture_that_could_not_be_encoded_can_be_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise FULL

    with open_sink(tmp_path / "a.tif", GRID, PROVENANCE) as sink:
        write(sink, noise())
        with monkeypatch.context() as patch:
            patch.setattr("infgen.sinks.encoders.tiff.replace", refuse)
            with pytest.raises(InfgenError, match=r"\A[^\n]*a\.tif was not written: No space left[^\n]*kept\Z"):
                sink.finish()
        sink.finish()
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), noise())


def test_closing_while_the_encoder_waits_for_tiles_takes_no_time(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "a.dzi"):
        sink = open_sink(tmp_path / name, GRID, PROVENANCE)
        write(sink, noise(), numbers=range(5))
        start = time.monotonic()
        sink.close()
        assert time.monotonic() - start < 20  # it would wait for ever


def test_threads_end_with_the_sink(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError):
        fail_between_tiles(tmp_path / "a.png", RuntimeError)
    until(lambda: threading.active_count() == before)


MEMORY = """
import sys, numpy as np
from infgen.sinks import open_sink, Grid
from infgen.sinks.files import background
background.QUEUE_BYTES = 2**20
def peak(height, path):
    grid = Grid(2048, height, 512, 512)
    with open_sink(path, grid, {}) as sink:
        for number in range(grid.count):
            sink.write_tile(number, np.full((512, 512, 3), 99, np.uint8))
        sink.finish()
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) // 1024
small = peak(1024, sys.argv[1])
print(peak(16384, "large_" + sys.argv[1]) - small)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_memory_does_not_grow_with_the_height_of_the_picture(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEMORY, name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert int(done.stdout) < 30  # MiB, for 94 MiB of pixels more

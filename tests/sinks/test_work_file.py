import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from infgen.errors import InfgenError
from infgen.pixels import Pixels
from infgen.sinks.files.work_file import WorkFile
from infgen.sinks.grid import Box

WIDTH, HEIGHT = 37, 23


@pytest.fixture
def work_file(tmp_path: Path) -> Iterator[WorkFile]:
    made = WorkFile(tmp_path / "canvas", width=WIDTH, height=HEIGHT)
    yield made
    made.close()


def picture(seed: int = 0, *, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read_back(work_file: WorkFile) -> Pixels:
    return work_file.read(Box(0, 0, work_file.width, work_file.height))


def test_tiles_in_any_order_give_the_picture(work_file: WorkFile) -> None:
    whole = picture()
    corners = [(x, y) for y in range(0, HEIGHT, 8) for x in range(0, WIDTH, 8)]
    for index in np.random.default_rng(1).permutation(len(corners)):
        x, y = corners[index]
        work_file.write(whole[y : y + 8, x : x + 8], x, y)  # those at the right and lower edge are smaller
    np.testing.assert_array_equal(read_back(work_file), whole)


def test_of_overlapping_tiles_the_last_one_counts(work_file: WorkFile) -> None:
    work_file.write(np.full((10, 10, 3), 1, np.uint8), 0, 0)
    work_file.write(np.full((10, 10, 3), 2, np.uint8), 5, 5)
    expected = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    expected[:10, :10], expected[5:15, 5:15] = 1, 2
    np.testing.assert_array_equal(read_back(work_file), expected)


def test_rows_as_wide_as_the_picture_are_stored_in_place(work_file: WorkFile) -> None:
    work_file.write(picture()[4:9], 0, 4)
    np.testing.assert_array_equal(read_back(work_file)[4:9], picture()[4:9])


def test_a_tile_that_is_not_contiguous_is_stored_in_place(work_file: WorkFile) -> None:
    work_file.write(picture()[::2, ::-1][:5, :7], 3, 4)
    np.testing.assert_array_equal(read_back(work_file)[4:9, 3:10], picture()[::2, ::-1][:5, :7])


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (WIDTH - 7, 0), (0, HEIGHT - 7), (2**40, 0)])
def test_a_tile_that_reaches_outside_is_refused(x: int, y: int, work_file: WorkFile) -> None:
    with pytest.raises(ValueError, match="reaches outside"):
        work_file.write(np.zeros((8, 8, 3), np.uint8), x, y)


@pytest.mark.parametrize(
    "tile",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_tile_is_refused(tile: Pixels, work_file: WorkFile) -> None:
    with pytest.raises(ValueError, match=r"is needed\Z"):
        work_file.write(tile, 0, 0)


def test_a_full_disk_is_reported_in_one_line(work_file: WorkFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(InfgenError, match=r"\A[^\n]*No space left on device[^\n]*\Z"):
        work_file.write(picture(), 0, 0)


def test_a_write_that_the_system_splits_is_completed(work_file: WorkFile, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: whole_write(file, data[:100], offset))
    work_file.write(picture(), 0, 0)
    np.testing.assert_array_equal(read_back(work_file), picture())


def test_the_file_is_sparse(tmp_path: Path) -> None:
    work_file = WorkFile(tmp_path / "canvas", width=100_000, height=10_000)
    assert work_file.path.stat().st_blocks * 512 < 2**20


def test_pixels_outlive_the_canvas(work_file: WorkFile) -> None:
    work_file.write(picture(), 0, 0)
    work_file.close()
    np.testing.assert_array_equal(read_back(WorkFile(work_file.path, width=WIDTH, height=HEIGHT)), picture())


def test_closing_twice_does_nothing_more(work_file: WorkFile) -> None:
    work_file.close()
    work_file.close()


def test_any_rectangle_is_read_back(work_file: WorkFile) -> None:
    work_file.write(picture(), 0, 0)
    np.testing.assert_array_equal(work_file.read(Box(5, 3, 20, 11)), picture()[3:14, 5:25])


def test_a_rectangle_outside_is_refused(work_file: WorkFile) -> None:
    with pytest.raises(ValueError, match="reaches outside"):
        work_file.read(Box(0, 1, WIDTH, HEIGHT))


def test_a_truncated_work_file_is_an_error_in_one_line(work_file: WorkFile) -> None:
    os.truncate(work_file.path, 100)
    with pytest.raises(InfgenError, match=r"\A[^\n]*cannot be read: the file is shorter than the picture[^\n]*\Z"):
        read_back(work_file)


def test_a_disk_that_fails_to_flush_is_reported_in_one_line(
    work_file: WorkFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(InfgenError, match=r"\A[^\n]*Input/output error[^\n]*\Z"):
        work_file.sync()

"""Pictures for the tests of sinks, and ways to write and read them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infgen.sinks import Box, Grid, Sink, Start, open_sink, picture_size, read_region

Pixels = npt.NDArray[np.uint8]
PROVENANCE: dict[str, Any] = {"infgen": "1.2.3", "world": {"seed": 1}, "tile": [64, 48]}
GRID = Grid(300, 200, 64, 48)  # 5 x 5 tiles, cut off at both edges
FILES = {"png": "a.png", "jpeg": "a.jpg", "webp": "a.webp", "tiff": "a.tif", "cog": "a.tif", "dzi": "a.dzi"}


def noise(*, width: int = GRID.width, height: int = GRID.height) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(*, width: int = GRID.width, height: int = GRID.height) -> Pixels:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1).astype(np.uint8)


def tile(picture: Pixels, grid: Grid, number: int) -> Pixels:
    box = grid.box(number)
    return picture[box.y : box.y + box.h, box.x : box.x + box.w]


def write(sink: Sink, picture: Pixels, grid: Grid = GRID, *, numbers: Iterable[int] | None = None) -> None:
    """Write the tiles ``numbers``; by default those that are not done, shuffled."""
    shuffled = (int(n) for n in np.random.default_rng(1).permutation(grid.count) if n not in sink.done)
    for number in shuffled if numbers is None else numbers:
        sink.write_tile(number, tile(picture, grid, number))


def begin(path: Path, numbers: Iterable[int], *, provenance: dict[str, Any] = PROVENANCE) -> None:
    """Leave an unfinished picture of noise with the tiles ``numbers``."""
    with open_sink(path, GRID, provenance) as sink:
        write(sink, noise(), numbers=numbers)


def finish(path: Path, *, start: Start = "resume", provenance: dict[str, Any] = PROVENANCE) -> frozenset[int]:
    """Write the missing tiles of noise; the numbers of those that were there."""
    with open_sink(path, GRID, provenance, start=start) as sink:
        write(sink, noise())
        sink.finish()
        return sink.done


def save(
    path: Path,
    picture: Pixels,
    *,
    file_format: str | None = None,
    provenance: dict[str, Any] = PROVENANCE,
    step: int = 64,
    start: Start = "new",
) -> Path:
    grid = Grid(picture.shape[1], picture.shape[0], step, step)
    with open_sink(path, grid, provenance, file_format=file_format, start=start) as sink:
        write(sink, picture, grid)
        sink.finish()
    return path


def whole(path: Path) -> Pixels:
    return read_region(path, Box(0, 0, *picture_size(path)))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())

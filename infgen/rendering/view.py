"""A region of a world as an array that is drawn where it is looked at: for notebooks, napari and dask."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infgen.errors import MissingExtraError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

CHUNK_PX = 1024
CHANNELS = 3


@lru_cache(maxsize=2)
def _loaded(model: str | None, options: Options) -> Studio:
    return open_studio(World(), model=model, options=options)


def studio_of(world: World, *, model: str | Path | None = None, options: Options | None = None) -> Studio:
    """A studio for ``world``; the models asked for last stay loaded. Raises what ``open_studio`` raises."""
    return _loaded(None if model is None else str(model), options or Options()).with_world(world)


@dataclass(frozen=True)
class View:
    """``region`` as a read-only array (h, w, 3) uint8: ``view[y0:y1, x0:x1]`` draws these pixels and no others.

    Indices count from the region's corner, as in NumPy: negative ones from its end, steps allowed. Two overlapping
    windows agree to within 1/255.
    """

    studio: Studio
    region: Region

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(h, w, 3)``."""
        return self.region.h, self.region.w, CHANNELS

    @property
    def ndim(self) -> int:
        """3."""
        return 3

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def size(self) -> int:
        """Values in all."""
        return self.region.pixels * CHANNELS

    def __len__(self) -> int:
        return self.region.h

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        """The pixels of an index made of integers, slices and an ellipsis. Raises IndexError for any other."""
        rows, columns, channels = _whole_index(key)
        top, height, in_rows = _run(rows, self.region.h)
        left, width, in_columns = _run(columns, self.region.w)
        if height == 0 or width == 0:
            pixels: Pixels = np.empty((height, width, CHANNELS), np.uint8)
        else:
            pixels = self.studio.array(Region(self.region.x + left, self.region.y + top, width, height))
        return pixels[in_rows, in_columns, channels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The whole region in memory."""
        return np.asarray(self[...], dtype=dtype)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        studio = self.studio
        return studio.model_hash, studio.scene.world.to_json(), repr(studio.options), repr(self.region)

    def to_dask(self, *, chunk_px: int = CHUNK_PX) -> Any:
        """A ``dask.array`` of the region in square chunks, each drawn when it is computed, one at a time.

        Raises MissingExtraError without dask.
        """
        try:
            import dask.array as da
        except ImportError:
            raise MissingExtraError("dask is not installed; run: pip install 'infgen[cluster]'") from None
        chunks = (min(chunk_px, self.region.h), min(chunk_px, self.region.w), CHANNELS)
        from_array: Any = da.from_array
        return from_array(self, chunks=chunks, lock=True, meta=np.empty((0, 0, 0), np.uint8))


def _whole_index(key: Any) -> tuple[Any, Any, Any]:
    """One index for each of the three axes."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if parts.count(Ellipsis) > 1 or len([p for p in parts if p is not Ellipsis]) > 3:
        raise IndexError(f"index {key!r} has too many parts for rows, columns and channels")
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (4 - len(parts))
    parts += [slice(None)] * (3 - len(parts))
    return parts[0], parts[1], parts[2]


def _run(index: Any, size: int) -> tuple[int, int, Any]:
    """(first, count) of the positions to draw for ``index``, and what to take from them."""
    if isinstance(index, slice):
        positions = range(*index.indices(size))
        if len(positions) == 0:
            return 0, 0, slice(None)
        first, last = min(positions[0], positions[-1]), max(positions[0], positions[-1])
        return first, last - first + 1, slice(None, None, positions.step)
    if isinstance(index, int | np.integer):
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of range; allowed are {-size} to {size - 1}")
        return int(index) % size, 1, 0
    raise IndexError(f"index {index!r} is not supported; give integers and slices")

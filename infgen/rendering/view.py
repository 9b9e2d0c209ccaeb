"""A region of a world as a lazy array for notebooks, napari and dask: indexing renders pixels."""

import io
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from infgen.checks import check_whole
from infgen.engines.selection import AUTO
from infgen.extras import require_extra
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering.studio import Options, Studio, count_styles, open_studio
from infgen.world.world import World

CHUNK_PX = 1024
NOTEBOOK_PX = 1024  # longest side of the picture that notebooks show
CHANNELS = 3


@lru_cache(maxsize=2)
def _load_studio(model: str | None, options: Options) -> Studio:
    return open_studio(World(), model=model, options=options)


def studio_of(world: World, *, model: str | Path | None = None, options: Options | None = None) -> Studio:
    """Open a studio for ``world``. The two most recent models stay loaded. Raises what ``open_studio`` raises."""
    options = options or Options()
    if options.engine not in (AUTO, "eager") and options.engine_file is None:
        options = replace(options, engine_styles=count_styles(world))
    return _load_studio(None if model is None else str(model), options).with_world(world)


@dataclass(frozen=True, repr=False)
class View:
    """``region`` as a read-only array (h, w, 3) uint8: ``view[y0:y1, x0:x1]`` renders only these pixels.

    Indexing follows NumPy: indices count from the region's corner, negative ones from its end; steps are allowed.
    Overlapping windows agree to within 1/255.
    """

    studio: Studio
    region: Region

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(h, w, 3)``."""
        return self.region.h, self.region.w, CHANNELS

    @property
    def ndim(self) -> int:
        """Number of axes, always 3."""
        return 3

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Data type of the values, always uint8."""
        return np.dtype(np.uint8)

    @property
    def size(self) -> int:
        """Number of values, 3 per pixel."""
        return self.region.pixels * CHANNELS

    def __len__(self) -> int:
        return self.region.h

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        """Render the pixels of an index made of integers, slices and an ellipsis. Raises IndexError for any other index."""
        rows, columns, channels = _whole_index(key)
        top, height, in_rows = _run(rows, self.region.h)
        left, width, in_columns = _run(columns, self.region.w)
        if height == 0 or width == 0:
            pixels: Pixels = np.empty((height, width, CHANNELS), np.uint8)
        else:
            pixels = self.studio.array(Region(self.region.x + left, self.region.y + top, width, height))
        return pixels[in_rows, in_columns, channels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Render the whole region. Raises ValueError for ``copy=False``: a view has no pixels in memory to share."""
        if copy is False:
            raise ValueError(
                "a view cannot be an array without a copy, because reading renders it; leave copy=False out"
            )
        return np.asarray(self[...], dtype=dtype)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Describe the array to ``PIL.Image.fromarray``, which then reads ``tobytes()``.

        Hidden from all other callers: NumPy prefers this attribute to ``__array__`` and cannot read it without a buffer.
        """
        if not sys._getframe(1).f_globals.get("__name__", "").startswith("PIL."):
            raise AttributeError("__array_interface__")
        strides = (self.region.w * CHANNELS, CHANNELS, 1)
        return {"shape": self.shape, "typestr": "|u1", "strides": strides, "version": 3}

    def tobytes(self) -> bytes:
        """Render the whole region as bytes, row by row, RGB."""
        return self[...].tobytes()

    def __repr__(self) -> str:
        region, model = self.region, self.studio.model_path.name
        return f"<View of {region.w} x {region.h} px at ({region.x}, {region.y}), model {model}>"

    def _repr_png_(self) -> bytes:
        """Render the middle, up to ``NOTEBOOK_PX`` a side, as PNG for notebooks."""
        height, width = min(self.region.h, NOTEBOOK_PX), min(self.region.w, NOTEBOOK_PX)
        top, left = (self.region.h - height) // 2, (self.region.w - width) // 2
        file = io.BytesIO()
        Image.fromarray(self[top : top + height, left : left + width]).save(file, "PNG")
        return file.getvalue()

    def __dask_tokenize__(self) -> tuple[object, ...]:
        studio = self.studio
        return studio.model_hash, studio.scene.world.to_json(), repr(studio.options), repr(self.region)

    def to_dask(self, *, chunk_px: int = CHUNK_PX) -> Any:
        """Open the region as a ``dask.array`` of square chunks, rendered one at a time when they are computed.

        Raises InputError for a chunk without pixels, MissingExtraError if dask is not installed.
        """
        check_whole("chunk", chunk_px, least=1)
        with require_extra("cluster", "to_dask"):
            import dask.array as da
        chunks = (min(chunk_px, self.region.h), min(chunk_px, self.region.w), CHANNELS)
        from_array: Any = da.from_array
        return from_array(self, chunks=chunks, lock=True, meta=np.empty((0, 0, 0), np.uint8))


def _whole_index(key: Any) -> tuple[Any, Any, Any]:
    """Expand an index to one entry per axis."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if parts.count(Ellipsis) > 1 or len([p for p in parts if p is not Ellipsis]) > 3:
        raise IndexError(f"index {key!r} has too many parts for rows, columns and channels")
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (4 - len(parts))
    parts += [slice(None)] * (3 - len(parts))
    return parts[0], parts[1], parts[2]


def _run(index: Any, size: int) -> tuple[int, int, Any]:
    """Convert an index to (first position, number of positions to render, index into these positions)."""
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

"""Cut a large map into overlapping square tiles for training: a satellite mosaic, a shaded relief, a GeoTIFF.

libvips reads the map by parts, so its size does not matter. Coordinates are pixels of the map: x to the right, y down.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infgen.errors import InputError
from infgen.progress import Progress, silent
from infgen.train.data.new_folder import check_folder, write_folder
from infgen.vips import load as load_vips

SEA_SHARE = 0.9  # a tile with at least this share of water is open sea
_COLOUR_TYPES = ("uchar", "ushort")  # libvips' names of 8 and 16 bits without sign
_MOST_BANDS = 4  # red, green, blue and alpha, or CMYK
_BLUE_EXCESS = 8  # of 255: water is bluer than red by at least this


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Positions of the tiles of a map.

    ``size``: side in px. ``step``: distance of neighbours in px. ``rows``: first row and row after the last, None for the
    whole map; use a band where the projection distorts little. ``wraps``: left and right edges of the map meet.
    ``balance``: largest share of tiles that are open sea.
    """

    size: int
    step: int
    rows: tuple[int, int] | None = None
    wraps: bool = False
    balance: float = 0.1


class Corner(NamedTuple):
    """Upper left pixel of a tile."""

    x: int
    y: int


class TileResult(NamedTuple):
    """Numbers of tiles: written, left out as open sea, left out because a part is transparent."""

    written: int
    sea: int
    transparent: int


def list_corners(width: int, height: int, tiling: Tiling) -> list[Corner]:
    """List the tiles of a map of ``width`` x ``height`` px, row by row. Raises InputError if none fits."""
    top, bottom = tiling.rows or (0, height)
    if not 0 <= top < bottom <= height:
        raise InputError(f"rows {top} to {bottom} are not in the map; allowed are 0 to {height}, in this order")
    size = tiling.size
    if size > min(width, bottom - top):
        raise InputError(
            f"tiles of {size} px do not fit the map: {width} px wide, {bottom - top} rows used; give a smaller size"
        )
    columns = range(0, width if tiling.wraps else width - size + 1, tiling.step)
    return [Corner(x, y) for y in range(top, bottom - size + 1, tiling.step) for x in columns]


def water_share(tile: NDArray[np.uint8]) -> float:
    """Share of the pixels of ``tile`` (H, W, 3) that are water: blue exceeds red clearly, and is not below green."""
    red, green, blue = np.moveaxis(tile.astype(np.int16), 2, 0)
    return float(((blue > red + _BLUE_EXCESS) & (blue >= green)).mean())


def choose_tiles(shares: Sequence[float], balance: float) -> list[int]:
    """Return indices of the tiles to keep: all with land, and evenly spaced ones of the open sea.

    ``shares``: water share of each tile. Open sea is at most ``balance`` of the result.
    """
    sea = [i for i, share in enumerate(shares) if share >= SEA_SHARE]
    land = [i for i, share in enumerate(shares) if share < SEA_SHARE]
    room = len(sea) if balance >= 1 else min(len(sea), int(balance * len(land) / (1 - balance)))
    kept = [sea[i * len(sea) // room] for i in range(room)]
    return sorted(land + kept)


def cut_tiles(map_file: str | Path, out: Path, tiling: Tiling, *, progress: Progress = silent) -> TileResult:
    """Write the tiles of ``map_file`` as PNG files into the folder ``out``, which is missing or empty.

    Raises InputError if the map cannot be read, a setting does not fit it, or no tile is left; InfgenError if the disk
    is full.
    """
    check_folder(out, map_file)
    picture = _open_map(Path(map_file), wraps_px=tiling.size if tiling.wraps else 0)
    width = picture.width - (tiling.size if tiling.wraps else 0)
    corners = list_corners(width, picture.height, tiling)
    shares, opaque = [], []
    for done, (corner, tile) in enumerate(_read_tiles(picture, corners, tiling.size), 1):
        if tile.shape[2] == 3 or (tile[..., 3] == 255).all():
            opaque.append(corner)
            shares.append(water_share(tile[..., :3]))
        progress(done, 2 * len(corners))
    kept = [opaque[i] for i in choose_tiles(shares, tiling.balance)]
    if not kept:
        raise InputError(
            f"no tile of {map_file} is left: {len(corners) - len(opaque)} of {len(corners)} are transparent in part, and "
            f"the others are open sea; give a higher balance than {tiling.balance:g}, or other rows"
        )
    with write_folder(out) as folder:
        for done, (corner, tile) in enumerate(_read_tiles(picture, kept, tiling.size), 1):
            Image.fromarray(tile[..., :3]).save(folder / f"y{corner.y:06d}-x{corner.x:06d}.png", compress_level=3)
            progress(len(kept) + done, 2 * len(kept))
    return TileResult(len(kept), len(opaque) - len(kept), len(corners) - len(opaque))


def _read_tiles(picture: Any, corners: Sequence[Corner], size: int) -> Iterator[tuple[Corner, NDArray[np.uint8]]]:
    for corner in corners:
        with _explain_read_errors():
            tile = picture.crop(corner.x, corner.y, size, size).numpy()
        yield corner, tile


def _open_map(path: Path, *, wraps_px: int) -> Any:
    """Open ``path`` as 8 bit sRGB with or without alpha. ``wraps_px``: columns of the left edge to repeat at the right."""
    if not path.is_file():
        raise InputError(f"map {path} is not a file; give a picture such as a JPEG, PNG or TIFF")
    with _explain_read_errors():
        picture = load_vips().Image.new_from_file(str(path), access="random", fail_on="error")
        _check_kind(path, picture.format, picture.bands)
        picture = picture.colourspace("srgb").cast("uchar")
        if wraps_px:
            picture = picture.join(picture.crop(0, 0, min(wraps_px, picture.width), picture.height), "horizontal")
    return picture


def _check_kind(path: Path, value_type: str, bands: int) -> None:
    """Raise InputError for elevations and other measurements, whose values are no colours, and for many bands."""
    if value_type not in _COLOUR_TYPES:
        raise InputError(
            f"map {path} has values of type {value_type}, not colours; convert it to 8 or 16 bits without sign, such as a "
            "shaded relief of the elevations"
        )
    if bands > _MOST_BANDS:
        raise InputError(
            f"map {path} has {bands} bands; give one or three, with or without alpha: choose three of them"
        )


@contextmanager
def _explain_read_errors() -> Iterator[None]:
    try:
        yield
    except load_vips().Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"map cannot be read ({reason}); give a complete JPEG, PNG or TIFF") from None

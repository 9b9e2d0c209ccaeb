"""Read finished pictures of every format: the provenance, the size, and any rectangle of pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infgen import vips
from infgen.errors import InputError, LimitError, one_line
from infgen.limits import MAX_PROVENANCE_MB, MIB
from infgen.pixels import Pixels
from infgen.sinks import xmp
from infgen.sinks.files.work_file import CHANNELS
from infgen.sinks.grid import Box, Grid
from infgen.sinks.provenance import parse, read_embedded

# How libvips opens each kind. infgen's pictures may exceed the limits for photographs ("unlimited"). libvips only warns
# about TIFF tiles that it cannot decode, so warnings count as errors there.
_LOADERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "PNG": ("pngload", {"access": "sequential", "fail_on": "error", "unlimited": True}),
    "JPEG": ("jpegload", {"access": "sequential", "fail_on": "error", "unlimited": True}),
    "WebP": ("webpload", {"access": "sequential", "fail_on": "error"}),
    "TIFF": ("tiffload", {"access": "random", "fail_on": "warning", "unlimited": True}),
}
_DESCRIPTION, _STORE = ".dzi", ".zarr"


def is_store(path: str | Path) -> bool:
    """Whether ``path`` names an OME-Zarr store: a .zarr folder or a URL."""
    return "://" in str(path) or Path(path).suffix.lower() == _STORE


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """Read the provenance of the picture ``path`` of any format. Returns None if it has none.

    Reads metadata only, so the size of the picture does not matter. Raises InputError for an unreadable file, another
    kind of file or damaged provenance, LimitError for provenance that is too large.
    """
    if is_store(path):
        from infgen.sinks import zarr

        return zarr.read_provenance(str(path))
    if Path(path).suffix.lower() == _DESCRIPTION:
        return _read_from_folder(Path(path))
    return read_embedded(path)


def picture_size(path: str | Path) -> tuple[int, int]:
    """Read (width, height) of the picture ``path`` in px from its header. Raises InputError if it cannot be read."""
    if is_store(path):
        from infgen.sinks import zarr

        return zarr.picture_size(str(path))
    if Path(path).suffix.lower() == _DESCRIPTION:
        from infgen.sinks.encoders.deepzoom import read_description

        return read_description(Path(path))[:2]
    image = _open(Path(path))
    return image.width, image.height


def read_region(path: str | Path, box: Box) -> Pixels:
    """Read the pixels of ``box`` from a finished picture, (rows, columns, 3) uint8.

    Tiled formats decode only the tiles in ``box``. PNG and JPEG also decode the rows above, in constant memory. WebP
    decodes the whole picture of at most 16,383 px per side. Raises InputError for a damaged file, or if ``box`` reaches
    outside the picture.
    """
    if is_store(path):
        from infgen.sinks import zarr

        return zarr.read_region(str(path), box)
    _check_inside(path, box)
    if Path(path).suffix.lower() == _DESCRIPTION:
        return _read_tiles(Path(path), box)
    return _crop(_open(Path(path)), box, Path(path))


def _check_inside(path: str | Path, box: Box) -> None:
    width, height = picture_size(path)
    if not (0 <= box.x < box.x + box.w <= width and 0 <= box.y < box.y + box.h <= height):
        raise InputError(
            f"the box of {box.w} x {box.h} px at ({box.x}, {box.y}) is not inside {path} of {width} x {height} px; "
            "choose another box"
        )


def _open(path: Path) -> Any:
    """Open the picture file as an image of libvips, without decoding it."""
    loader, options = _LOADERS[xmp.kind_of(path)]  # libvips itself would open many more formats
    library = vips.load()
    try:
        image = getattr(library.Image, loader)(str(path), **options)
    except library.Error as error:
        raise _damage_error(path, error) from None
    if image.format != "uchar" or image.bands != CHANNELS:
        raise InputError(f"{path} has {image.bands} channels of {image.format}; pictures of infgen have 3 of uchar")
    return image


def _crop(image: Any, box: Box, path: Path) -> Pixels:
    try:
        data = image.crop(box.x, box.y, box.w, box.h).write_to_memory()
    except vips.load().Error as error:
        raise _damage_error(path, error) from None
    return np.frombuffer(data, np.uint8).reshape(box.h, box.w, CHANNELS)


def _damage_error(path: Path, error: BaseException) -> InputError:
    return InputError(f"picture {path} is damaged: {one_line(error)}; use the original file")


def _read_tiles(path: Path, box: Box) -> Pixels:
    """Join the tiles of the largest level of a DeepZoom picture."""
    from infgen.sinks.encoders.deepzoom import overlapping, read_description, tiles_of

    width, height, side, extension, overlap = read_description(path)
    folder = tiles_of(path) / str((max(width, height) - 1).bit_length())  # levels count from 1 x 1 px
    grid = Grid(width, height, side, side)
    pixels = np.empty((box.h, box.w, CHANNELS), np.uint8)
    for row in range(box.y // side, (box.y + box.h - 1) // side + 1):
        for column in range(box.x // side, (box.x + box.w - 1) // side + 1):
            tile = folder / f"{column}_{row}.{extension}"
            number = row * grid.columns + column
            whole, part = overlapping(grid, number, overlap), _overlap(grid.box(number), box)
            image = _open(tile)
            if (image.width, image.height) != (whole.w, whole.h):
                raise InputError(
                    f"{tile} has {image.width} x {image.height} px and {path} needs {whole.w} x {whole.h}; "
                    "use the original files"
                )
            inner = Box(part.x - whole.x, part.y - whole.y, part.w, part.h)
            y, x = part.y - box.y, part.x - box.x
            pixels[y : y + part.h, x : x + part.w] = _crop(image, inner, tile)
    return pixels


def _overlap(a: Box, b: Box) -> Box:
    """Return the common pixels of two boxes that overlap."""
    x, y = max(a.x, b.x), max(a.y, b.y)
    return Box(x, y, min(a.x + a.w, b.x + b.w) - x, min(a.y + a.h, b.y + b.h) - y)


def _read_from_folder(path: Path) -> dict[str, Any] | None:
    """Read the provenance in the folder of tiles of the .dzi file ``path``."""
    from infgen.sinks.encoders.deepzoom import PROVENANCE, read_description, tiles_of

    read_description(path)
    limit = MAX_PROVENANCE_MB.value()
    try:
        with open(tiles_of(path) / PROVENANCE, "rb") as file:
            text = file.read(limit * MIB + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"the provenance of {path} cannot be read: {error.strerror}; check its permissions") from None
    if len(text) > limit * MIB:
        raise LimitError(
            f"the provenance of {path} is over {limit} MiB; raise {MAX_PROVENANCE_MB.name} if you trust the file"
        )
    return parse(text, path)

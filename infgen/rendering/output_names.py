"""Name outputs that the user did not name: after their content, in the current folder, never over an existing file."""

import os
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.sinks.formats import FORMATS

# Larger PNG files are legal, but programs refuse them: Firefox above this side, Pillow above this number of pixels.
PNG_SIDE_PX, PNG_PIXELS = 32_767, 178_956_970
_LONGEST_STEM = 120  # bytes of a source's name that are kept


def free_path(
    stem: str,
    suffix: str = "",
    *,
    companions: Callable[[Path], Iterable[Path]] = lambda path: (),
    claim: Callable[[Path], bool] = lambda path: True,
) -> Path:
    """Return ``stem`` + ``suffix`` in the current folder, with a number from 2 on if that name is taken.

    ``companions``: further files that the output writes; they must be free, too. ``claim``: False if another process has
    just chosen the name. Raises InputError if the current folder is not writable.
    """
    if not os.access(Path.cwd(), os.W_OK | os.X_OK):
        raise InputError(f"current folder {Path.cwd()} is not writable; name the output with -o, in another folder")
    for number in count(1):
        path = Path(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        files = (path, *companions(path))
        if _missing(files) and claim(path) and _missing(files):  # its last owner may have written it before the claim
            return path
    raise AssertionError("numbers do not end")


def _missing(files: Iterable[Path]) -> bool:
    return not any(os.path.lexists(file) for file in files)


def source_stem(path: str | Path) -> str:
    """Return the name of a source file without folder and extensions, such as "photo"; long names are cut."""
    stem = Path(path).stem.removesuffix(".world")
    while len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = stem[:-1]
    return stem or "picture"


def picture_stem(region: Region, *, seed: int | str, source: Path | None = None, at_origin: bool = True) -> str:
    """Name a rendered picture without extension, such as "layout-8192x8192-seed0".

    ``source``: the layout or world file. ``at_origin``: False adds the position.
    """
    place = "" if at_origin else f"-x{region.x}-y{region.y}"
    stem = "world" if source is None else source_stem(source)
    return f"{stem}-{region.w}x{region.h}{place}-seed{seed}"


def picture_suffix(width: int, height: int, file_format: str | None = None) -> str:
    """Return the extension of a picture of ``width`` x ``height`` px.

    ``file_format``: a key of ``FORMATS``; None selects PNG, or BigTIFF for pictures that PNG readers refuse.
    """
    if file_format is not None:
        return next(f.extensions[0] for f in FORMATS if f.key == file_format)
    if max(width, height) <= PNG_SIDE_PX and width * height <= PNG_PIXELS:
        return ".png"
    large = [f for f in FORMATS if f.key in ("tiff", "zarr")]
    return next((f for f in large if f.holds(width, height)), large[-1]).extensions[0]

"""Pack photographs into WebDataset tar shards of training size, byte for byte reproducible. Only this module imports webdataset.

Shards are written to a temporary folder, which is renamed when all of them are complete.
"""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from infgen.errors import InputError
from infgen.extras import require_extra
from infgen.limits import MIB
from infgen.photo import read_photo
from infgen.progress import Progress, silent
from infgen.train.data.archives import Picture, SkippedFile
from infgen.train.data.new_folder import check_folder, write_folder
from infgen.train.data.prefetch import map_in_order
from infgen.train.data.sources import open_source, read_picture

Format = Literal["jpeg", "webp"]
EXTENSIONS: dict[Format, str] = {"jpeg": "jpg", "webp": "webp"}
OWNER = "infgen"  # of every member; the real user and time would make the bytes of every run differ


@dataclass(frozen=True)
class PackResult:
    """Number of photographs and shards written, the pattern to train from, and the skipped files."""

    photos: int
    shards: int
    pattern: str
    skipped: list[SkippedFile]


def pack(
    data: str | Path,
    out: Path,
    *,
    size_px: int,
    image_format: Format = "jpeg",
    quality: int = 92,
    shard_mb: int = 256,
    progress: Progress = silent,
) -> PackResult:
    """Write the photographs of ``data``, upright and RGB, with short side ``size_px``, as shards of ``shard_mb`` MiB.

    Smaller photographs are skipped; none is enlarged. ``out`` is a folder that is missing or empty. Raises InputError
    if it is neither or no photograph is usable, InfgenError if the disk is full, MissingExtraError without webdataset.
    """
    tar_writer = _import_tar_writer()
    check_folder(out, data)
    source = open_source(data)
    skipped = list(source.skipped)

    def encode_usable() -> Iterator[tuple[str, bytes]]:
        encoded = map_in_order(lambda p: _encode(p, size_px, image_format, quality), source.pictures)
        names: set[str] = set()
        for done, (picture, content) in enumerate(zip(source.pictures, encoded, strict=True), 1):
            if isinstance(content, InputError):
                skipped.append(SkippedFile(picture.label, str(content)))
            else:
                yield member_key(picture.name, names), content
            progress(done, len(source))

    with write_folder(out) as folder:
        photos, shards = _write_shards(
            encode_usable(), folder, tar_writer, extension=EXTENSIONS[image_format], limit=shard_mb * MIB
        )
        if not photos:
            raise source.no_photograph_error(skipped)
    last = f"{shards - 1:06d}"
    pattern = str(out / ("000000.tar" if shards == 1 else f"{{000000..{last}}}.tar"))
    return PackResult(photos, shards, pattern, skipped)


def _import_tar_writer() -> Any:
    with require_extra("train", "packing shards"):
        from webdataset import TarWriter

    return TarWriter


def _encode(picture: Picture, size_px: int, image_format: Format, quality: int) -> bytes | InputError:
    try:
        image = read_photo(read_picture(picture), short_px=size_px).image
    except InputError as error:
        return error
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format.upper(), quality=quality)
    except (OSError, ValueError) as error:  # a panorama may be longer than the format allows
        return InputError(f"{image.width} x {image.height} px cannot be written as {image_format} ({error})")
    return buffer.getvalue()


def member_key(name: str, taken: set[str]) -> str:
    """Make the WebDataset key of picture ``name`` and add it to ``taken``. Keys have no dots and are unique and safe to extract.

    WebDataset ends a key at the first dot, so ``sub/a.b.png`` becomes ``sub/a_b_png``.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in {"/", ".."}]
    plain = "/".join(parts).replace(".", "_")
    base = key = "".join(c if c.isprintable() else "_" for c in plain).lstrip("_") or "picture"
    number = 2
    while key in taken:
        key, number = f"{base}_{number}", number + 1
    taken.add(key)
    return key


def _write_shards(
    members: Iterable[tuple[str, bytes]], folder: Path, tar_writer: Any, *, extension: str, limit: int
) -> tuple[int, int]:
    """Write ``000000.tar`` and so on, closing each before it exceeds ``limit`` bytes. Returns (members, shards)."""
    rest = iter(members)
    first = next(rest, None)
    photos = shards = 0
    while first is not None:
        with (folder / f"{shards:06d}.tar").open("wb") as stream:
            room = limit
            with tar_writer(
                stream, encoder=False, mtime=0, user=OWNER, group=OWNER, compress=False, format="PAX_FORMAT"
            ) as shard:
                while first is not None and (room == limit or len(first[1]) <= room):
                    shard.write({"__key__": first[0], extension: first[1]})
                    room, photos = room - len(first[1]), photos + 1
                    first = next(rest, None)
            stream.flush()
            os.fsync(stream.fileno())
        shards += 1
    return photos, shards

"""Photographs -> WebDataset tar shards of training size, the same bytes every time. The only module that imports webdataset.

Shards are written under a temporary name; the folder takes its own when all of them are whole.
"""

import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from infgen.atomic import TEMPORARY_PREFIX
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.limits import MIB
from infgen.photo import read_photo
from infgen.train.data.archives import Picture, Skipped
from infgen.train.data.prefetch import in_order
from infgen.train.data.sources import open_source, read
from infgen.train.data.storage import is_url

Format = Literal["jpeg", "webp"]
ENDINGS: dict[Format, str] = {"jpeg": "jpg", "webp": "webp"}
OWNER = "infgen"  # of every member; the real user and time would make each packing different


@dataclass(frozen=True)
class Packed:
    """What was written: photographs, shards, the pattern to train from, and what was left out."""

    photos: int
    shards: int
    pattern: str
    skipped: list[Skipped]


def pack(
    data: str | Path,
    out: Path,
    *,
    size_px: int,
    image_format: Format = "jpeg",
    quality: int = 92,
    shard_mb: int = 256,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Write the photographs of ``data``, upright, RGB, with short side ``size_px``, as shards of ``shard_mb`` MiB.

    Smaller ones are skipped, never enlarged. ``out`` is a folder that does not exist or is empty. Raises InputError
    where it is not, or nothing is usable; InfgenError where the disk is full; MissingExtraError without webdataset.
    """
    tar_writer = _tar_writer()
    _check_folder(out, data)
    source = open_source(data)
    skipped = list(source.skipped)

    def usable() -> Iterator[tuple[str, bytes]]:
        encoded = in_order(lambda p: _encode(p, size_px, image_format, quality), source.pictures)
        names: set[str] = set()
        for done, (picture, content) in enumerate(zip(source.pictures, encoded, strict=True), 1):
            if isinstance(content, InputError):
                skipped.append(Skipped(picture.label, str(content)))
            else:
                yield member_key(picture.name, names), content
            progress(done, len(source))

    with _folder_at_once(out) as folder:
        photos, shards = _write_shards(usable(), folder, tar_writer, ending=ENDINGS[image_format], limit=shard_mb * MIB)
        if not photos:
            raise source.nothing_usable(skipped)
    last = f"{shards - 1:06d}"
    pattern = str(out / ("000000.tar" if shards == 1 else f"{{000000..{last}}}.tar"))
    return Packed(photos, shards, pattern, skipped)


def _tar_writer() -> Any:
    try:
        from webdataset import TarWriter
    except ImportError:
        raise MissingExtraError(
            "packing shards needs webdataset, which is not installed; run: pip install 'infgen[train]'"
        ) from None
    return TarWriter


def _encode(picture: Picture, size_px: int, image_format: Format, quality: int) -> bytes | InputError:
    try:
        image = read_photo(read(picture), short_px=size_px).image
    except InputError as error:
        return error
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format.upper(), quality=quality)
    except (OSError, ValueError) as error:  # a panorama longer than the format can count
        return InputError(f"{image.width} x {image.height} px cannot be written as {image_format} ({error})")
    return buffer.getvalue()


def member_key(name: str, taken: set[str]) -> str:
    """The WebDataset key of the picture ``name``, added to ``taken``: without dots, unique, harmless to extract.

    WebDataset ends a key at the first dot. ``sub/a.b.png`` becomes ``sub/a_b_png``.
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
    members: Iterable[tuple[str, bytes]], folder: Path, tar_writer: Any, *, ending: str, limit: int
) -> tuple[int, int]:
    """Write ``000000.tar`` and on, each closed before it passes ``limit`` bytes. Returns (members, shards)."""
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
                    shard.write({"__key__": first[0], ending: first[1]})
                    room, photos = room - len(first[1]), photos + 1
                    first = next(rest, None)
            stream.flush()
            os.fsync(stream.fileno())
        shards += 1
    return photos, shards


def _check_folder(out: Path, data: str | Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"output folder {out} exists and is not empty; give another name, or empty it")
    if not out.absolute().parent.is_dir():
        raise InputError(f"output folder {out.parent} does not exist; create it or choose another")
    if not is_url(data) and Path(data).is_dir() and out.resolve().is_relative_to(Path(data).resolve()):
        raise InputError(f"output folder {out} is inside data folder {data}; give another place")


@contextmanager
def _folder_at_once(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``out`` that takes its name when the block ends without error, else goes."""
    target = Path(os.path.realpath(out))
    temporary = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()  # empty, or this fails
        os.replace(temporary, target)
    except OSError as error:
        raise InfgenError(
            f"{out} was not written: {error.strerror}; free some disk space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

"""Cache the result of decoding a large data set, so that the next start decodes nothing.

An index lists the unusable pictures, those that are too small for a scale, and the fingerprint of each scale. It is in
the cache folder, because data may be on a server or read-only. Its name is a hash of all pictures (name, size, version)
and of everything else that decides which of them are usable.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL

from infgen.atomic import write_atomically
from infgen.cache import cache_folder
from infgen.errors import InfgenError
from infgen.heif import is_available
from infgen.limits import MAX_PHOTO_MB, MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS
from infgen.lock import Lock, TakenError
from infgen.train.data.sources import Source

FROM_PICTURES = 1000  # smaller sets are decoded in seconds
LAYOUT = 2  # part of every name; changes when the content for the same data does
_LIMITS = (MAX_PHOTO_MB, MAX_PHOTO_PIXELS, MAX_SHRUNK_PHOTO_PIXELS)
_WAIT_S = 0.5  # poll interval while another process decodes the same data

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """``skipped``: picture number -> reason. ``fingerprints`` and ``too_small`` (picture numbers): one entry per scale."""

    skipped: Mapping[int, str]
    too_small: tuple[frozenset[int], ...]
    fingerprints: tuple[str, ...]


def index_file(source: Source, *, views_px: Sequence[int], pre_resize_px: int | None) -> Path | None:
    """Return where the index of these views is kept; None for a small set, or one whose changes cannot be noticed."""
    if len(source) < FROM_PICTURES or any(picture.version is None for picture in source.pictures):
        return None
    limits = (*(limit.value() for limit in _LIMITS), is_available())
    digest = hashlib.sha256(repr((LAYOUT, PIL.__version__, tuple(views_px), pre_resize_px, limits)).encode())
    for picture in source.pictures:
        entry = f"{picture.name}\0{picture.label}\0{picture.size}\0{picture.version}\n"
        digest.update(entry.encode("utf-8", "surrogateescape"))
    return cache_folder() / "data" / f"{digest.hexdigest()[:32]}.json"


def read_index(path: Path, *, scales: int) -> Index | None:
    """Read the index at ``path``; None if there is none for so many scales, or it is damaged."""
    try:
        content = json.loads(path.read_text())
        index = Index(
            skipped={int(number): str(reason) for number, reason in content["skipped"].items()},
            too_small=tuple(frozenset(map(int, numbers)) for numbers in content["too_small"]),
            fingerprints=tuple(map(str, content["fingerprints"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return index if len(index.fingerprints) == len(index.too_small) == scales else None


def write_index(path: Path, index: Index) -> None:
    """Write ``index`` to ``path``. A failure is logged: the next start then decodes again."""
    content: dict[str, Any] = {
        "skipped": {str(number): reason for number, reason in index.skipped.items()},
        "too_small": [sorted(numbers) for numbers in index.too_small],
        "fingerprints": list(index.fingerprints),
    }
    try:
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(content))
    except (OSError, InfgenError) as error:
        log.warning("the index of the photographs is not kept for the next start: %s", error)


@contextmanager
def lock_index(path: Path) -> Iterator[None]:
    """Let one process at a time decode the data of the index at ``path``; the others wait here.

    Where the cache folder cannot be used, all decode at once.
    """
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while lock is None:
            try:
                lock = Lock(path.with_suffix(".lock"))
            except TakenError:
                time.sleep(_WAIT_S)
    except OSError:
        log.warning("the cache folder %s cannot be used; photographs are decoded at every start", path.parent)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()

"""What photographs are worth for training, before any hour is spent on them: counts, sizes, damage, copies, grey ones."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infgen.errors import InputError
from infgen.photo import read_photo
from infgen.train.data.archives import Picture, Skipped
from infgen.train.data.prefetch import in_order
from infgen.train.data.sources import Source, open_source, read

HASH_SIDE = 16  # 256 bits: 64 are too few to tell one sky above a plain from another
HASH_BITS = HASH_SIDE**2
HASH_MARGIN = 1  # levels; or noise decides in a flat sky
MOST_DIFFERENT = 18  # bits; of 694 landscapes, 97 % of scaled and recompressed copies differ by up to 14, others by 27
PAIRS_LISTED = 1000
GREY_LEVELS = 8  # between the channels of a pixel; what compression makes of grey
_BLOCK = 2048  # photographs whose hashes are compared at once

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of some lengths in px."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class Copies:
    """Two photographs that look the same; ``bits`` of 256 differ in their hashes."""

    first: str
    second: str
    bits: int


@dataclass(frozen=True)
class Report:
    """What is in a data set. Names are those in messages; ``copies`` lists the first ``PAIRS_LISTED`` pairs."""

    data: str
    least_px: int  # short side that a photograph must have
    found: int
    usable: int
    short_side: Spread | None  # None: nothing usable
    long_side: Spread | None
    landscape: int
    portrait: int
    square: int
    grey: list[str]
    copies: list[Copies]
    copies_found: int
    skipped: list[Skipped]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """The counts as (what, value), for people."""
        sides = [
            (f"{name} side", f"{side.min} to {side.max} px, median {side.median} px")
            for name, side in (("short", self.short_side), ("long", self.long_side))
            if side is not None
        ]
        shapes = f"{self.landscape} landscape, {self.portrait} portrait, {self.square} square"
        return [
            ("pictures found", str(self.found)),
            (f"usable, short side {self.least_px} px or more", str(self.usable)),
            ("skipped", str(len(self.skipped))),
            *sides,
            ("shape", shapes),
            ("grey", str(len(self.grey))),
            ("pairs of near-duplicates", str(self.copies_found)),
        ]


@dataclass(frozen=True)
class Checked:
    """A report with what it is about."""

    report: Report
    source: Source
    usable: list[Picture]

    def require_usable(self) -> None:
        """Raise InputError where not one photograph is usable."""
        if not self.usable:
            raise self.source.nothing_usable(self.report.skipped)


@dataclass(frozen=True)
class _Facts:
    """One usable photograph: size in px as in the file, hash (256,), whether it is grey."""

    width: int
    height: int
    bits: Bits
    grey: bool


def check(
    data: str | Path,
    *,
    view_px: int,
    pre_resize_px: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Checked:
    """Decode every photograph of ``data`` as training with views of ``view_px`` px would, and report on them.

    Raises what ``open_source`` raises; that nothing is usable is no error here.
    """
    source, least_px = open_source(data), pre_resize_px or view_px
    usable: list[Picture] = []
    facts: list[_Facts] = []
    skipped = list(source.skipped)
    looks = in_order(lambda picture: _look(picture, least_px), source.pictures)
    for done, (picture, seen) in enumerate(zip(source.pictures, looks, strict=True), 1):
        if isinstance(seen, InputError):
            skipped.append(Skipped(picture.label, str(seen)))
        else:
            usable.append(picture)
            facts.append(seen)
        progress(done, len(source))
    return Checked(_report(source, least_px, usable, facts, skipped), source, usable)


def _look(picture: Picture, least_px: int) -> _Facts | InputError:
    try:
        photo = read_photo(read(picture), short_px=least_px)
    except InputError as error:
        return error
    return _Facts(photo.width, photo.height, difference_hash(photo.image), is_grey(photo.image))


def _report(
    source: Source, least_px: int, usable: Sequence[Picture], facts: Sequence[_Facts], skipped: list[Skipped]
) -> Report:
    pairs, copies_found = near_duplicates(np.array([f.bits for f in facts], bool).reshape(-1, HASH_BITS))
    return Report(
        data=source.title,
        least_px=least_px,
        found=len(source),
        usable=len(usable),
        short_side=_spread([min(f.width, f.height) for f in facts]),
        long_side=_spread([max(f.width, f.height) for f in facts]),
        landscape=sum(f.width > f.height for f in facts),
        portrait=sum(f.width < f.height for f in facts),
        square=sum(f.width == f.height for f in facts),
        grey=[picture.label for picture, f in zip(usable, facts, strict=True) if f.grey],
        copies=[Copies(usable[i].label, usable[j].label, bits) for i, j, bits in pairs],
        copies_found=copies_found,
        skipped=skipped,
    )


def _spread(lengths: Sequence[int]) -> Spread | None:
    return Spread(min(lengths), sorted(lengths)[len(lengths) // 2], max(lengths)) if lengths else None


def difference_hash(image: Image.Image) -> Bits:
    """Whether each of 16 x 16 places is darker than its right neighbour: a hash (256,) that survives scaling and JPEG.

    Source: N. Krawetz, "Kind of like that" (2013), with more bits.
    """
    grey = np.asarray(image.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX), np.int16)
    return (grey[:, 1:] > grey[:, :-1] + HASH_MARGIN).reshape(HASH_BITS)


def is_grey(image: Image.Image) -> bool:
    """Whether 99 % of an RGB picture, looked at from afar, has next to no colour."""
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX))
    return bool(np.percentile(np.ptp(small, axis=2), 99) <= GREY_LEVELS)


def near_duplicates(
    hashes: Bits, *, most: int = MOST_DIFFERENT, listed: int = PAIRS_LISTED
) -> tuple[list[tuple[int, int, int]], int]:
    """Pairs (i, j, differing bits) with i < j of ``hashes`` (N, bits) that differ in ``most`` bits, and how many there are.

    The first ``listed`` pairs are given. Hashes as vectors of +1 and -1 have the product bits - 2 * difference, so a
    matrix product compares a block with a block: N^2 work, but none of it in Python.
    """
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    bits = hashes.shape[1]
    pairs: list[tuple[int, int, int]] = []
    total = 0
    for top in range(0, len(signs), _BLOCK):
        for left in range(top, len(signs), _BLOCK):
            product = signs[top : top + _BLOCK] @ signs[left : left + _BLOCK].T
            close = product >= bits - 2 * most
            rows, columns = np.nonzero(np.triu(close, 1) if left == top else close)
            total += len(rows)
            for i, j in zip(rows[: listed - len(pairs)], columns, strict=False):
                pairs.append((top + int(i), left + int(j), (bits - int(product[i, j])) // 2))
    return pairs, total

"""Check photographs before training: counts, sizes, unreadable files, near-duplicates and grey pictures."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infgen.errors import InputError
from infgen.photo import read_photo
from infgen.progress import Progress, silent
from infgen.train.data.archives import Picture, SkippedFile
from infgen.train.data.prefetch import map_in_order
from infgen.train.data.sources import Source, open_source, read_picture

HASH_SIDE = 16  # 256 bits: 64 are too few to distinguish two skies above plains
HASH_BITS = HASH_SIDE**2
HASH_MARGIN = 1  # grey levels; without a margin, noise decides the bits of a flat sky
MAX_DIFFERENT_BITS = 18  # of 694 landscapes, 97 % of scaled and recompressed copies differ by up to 14, others by 27
MAX_LISTED_PAIRS = 1000
GREY_LEVELS = 8  # difference between the channels of a grey pixel after compression
_BLOCK = 2048  # photographs whose hashes are compared at once

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class LengthRange:
    """Smallest, median and largest of some lengths in px."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class DuplicatePair:
    """Two photographs that look the same; ``bits`` of 256 differ in their hashes."""

    first: str
    second: str
    bits: int


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """Contents of a data set. ``copies`` lists the first ``MAX_LISTED_PAIRS`` pairs, ``copies_found`` counts all."""

    data: str
    least_px: int  # short side that a photograph must have
    found: int
    usable: int
    short_side: LengthRange | None  # None: no usable photograph
    long_side: LengthRange | None
    landscape: int
    portrait: int
    square: int
    grey: list[str]
    copies: list[DuplicatePair]
    copies_found: int
    skipped: list[SkippedFile]
    notes: list[SkippedFile]  # used photographs, with omissions and conversions of the reader

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """List the counts as (title, value), for people."""
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
            ("used with a note", str(len(self.notes))),
            *sides,
            ("shape", shapes),
            ("grey", str(len(self.grey))),
            ("pairs of near-duplicates", str(self.copies_found)),
        ]


@dataclass(frozen=True)
class CheckedData:
    """A report, the source it describes, and the usable pictures."""

    report: DataReport
    source: Source
    usable: list[Picture]

    def require_usable(self) -> None:
        """Raise InputError if no photograph is usable."""
        if not self.usable:
            raise self.source.no_photograph_error(self.report.skipped)


@dataclass(frozen=True)
class _PhotoFacts:
    """One usable photograph: size in px in its file, hash (256,), whether it is grey."""

    width: int
    height: int
    _: KW_ONLY
    bits: Bits
    grey: bool
    remarks: tuple[str, ...]


def check_data(
    data: str | Path,
    *,
    view_px: int,
    pre_resize_px: int | None = None,
    progress: Progress = silent,
) -> CheckedData:
    """Decode every photograph of ``data`` as training with views of ``view_px`` px does, and report on them.

    Raises whatever ``open_source`` raises. A data set without a usable photograph is no error here.
    """
    source, least_px = open_source(data), pre_resize_px or view_px
    usable: list[Picture] = []
    facts: list[_PhotoFacts] = []
    skipped = list(source.skipped)
    results = map_in_order(lambda picture: _examine(picture, least_px), source.pictures)
    for done, (picture, result) in enumerate(zip(source.pictures, results, strict=True), 1):
        if isinstance(result, InputError):
            skipped.append(SkippedFile(picture.label, str(result)))
        else:
            usable.append(picture)
            facts.append(result)
        progress(done, len(source))
    return CheckedData(_make_report(source, least_px, usable, facts, skipped), source, usable)


def _examine(picture: Picture, least_px: int) -> _PhotoFacts | InputError:
    try:
        photo = read_photo(read_picture(picture), short_px=least_px)
    except InputError as error:
        return error
    return _PhotoFacts(
        photo.width, photo.height, bits=difference_hash(photo.image), grey=is_grey(photo.image), remarks=photo.remarks
    )


def _make_report(
    source: Source, least_px: int, usable: Sequence[Picture], facts: Sequence[_PhotoFacts], skipped: list[SkippedFile]
) -> DataReport:
    pairs, pair_count = near_duplicates(np.array([f.bits for f in facts], bool).reshape(-1, HASH_BITS))
    return DataReport(
        data=source.title,
        least_px=least_px,
        found=len(source),
        usable=len(usable),
        short_side=_length_range([min(f.width, f.height) for f in facts]),
        long_side=_length_range([max(f.width, f.height) for f in facts]),
        landscape=sum(f.width > f.height for f in facts),
        portrait=sum(f.width < f.height for f in facts),
        square=sum(f.width == f.height for f in facts),
        grey=[picture.label for picture, f in zip(usable, facts, strict=True) if f.grey],
        copies=[DuplicatePair(usable[i].label, usable[j].label, bits) for i, j, bits in pairs],
        copies_found=pair_count,
        skipped=skipped,
        notes=[SkippedFile(p.label, remark) for p, f in zip(usable, facts, strict=True) for remark in f.remarks],
    )


def _length_range(lengths: Sequence[int]) -> LengthRange | None:
    return LengthRange(min(lengths), sorted(lengths)[len(lengths) // 2], max(lengths)) if lengths else None


def difference_hash(image: Image.Image) -> Bits:
    """Compute a hash (256,) that survives scaling and JPEG: whether each of 16 x 16 cells is darker than its right neighbour.

    Source: N. Krawetz, "Kind of like that" (2013), with more bits.
    """
    grey = np.asarray(image.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX), np.int16)
    return (grey[:, 1:] > grey[:, :-1] + HASH_MARGIN).reshape(HASH_BITS)


def is_grey(image: Image.Image) -> bool:
    """Whether 99 % of an RGB picture, reduced to 64 x 64 px, has almost no colour."""
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX))
    return bool(np.percentile(np.ptp(small, axis=2), 99) <= GREY_LEVELS)


def near_duplicates(
    hashes: Bits, *, max_bits: int = MAX_DIFFERENT_BITS, max_listed: int = MAX_LISTED_PAIRS
) -> tuple[list[tuple[int, int, int]], int]:
    """Find pairs (i, j, differing bits) with i < j of ``hashes`` (N, bits) that differ in at most ``max_bits`` bits.

    Returns the first ``max_listed`` pairs and the number of all pairs. For hashes as vectors of +1 and -1 the dot
    product is bits - 2 * difference, so one matrix product compares two blocks of hashes.
    """
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    bits = hashes.shape[1]
    pairs: list[tuple[int, int, int]] = []
    total = 0
    for top in range(0, len(signs), _BLOCK):
        for left in range(top, len(signs), _BLOCK):
            product = signs[top : top + _BLOCK] @ signs[left : left + _BLOCK].T
            close = product >= bits - 2 * max_bits
            rows, columns = np.nonzero(np.triu(close, 1) if left == top else close)
            total += len(rows)
            for i, j in zip(rows[: max_listed - len(pairs)], columns, strict=False):
                pairs.append((top + int(i), left + int(j), (bits - int(product[i, j])) // 2))
    return pairs, total

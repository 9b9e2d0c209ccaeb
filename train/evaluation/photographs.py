"""Photographs for every scale that a model is judged at, and the two halves of them whose distance is the floor."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from infgen.decoding import read_size
from infgen.errors import InputError
from infgen.model.scales import Scale
from infgen.progress import Progress, silent
from infgen.train.data.archives import SkippedFile
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.data.sources import open_source, read_picture
from infgen.train.evaluation.real import Photos


def open_photographs(
    data: str | Path, scales: Sequence[Scale], *, progress: Progress = silent
) -> tuple[tuple[PhotoSet, ...], list[SkippedFile]]:
    """The photographs of ``data`` that are large enough for the view of each scale, and those that are of no use at any.

    None is enlarged. ``scales``: coarsest first. Raises InputError where a scale has no photograph, and what
    ``PhotoPyramid.open`` raises.
    """
    try:
        pyramid, skipped = PhotoPyramid.open(data, scales, progress=progress)
    except InputError:
        sides, finest = _short_sides(data), scales[-1]
        if not sides or max(sides) >= finest.view_px:
            raise
        found = f"{min(sides)} to {max(sides)} px" if min(sides) < max(sides) else f"{sides[0]} px"
        raise InputError(
            f"no photograph is large enough for scale {finest.name}, whose views are {finest.view_px} px high; the short "
            f"sides of {len(sides)} photographs are {found}: add photographs of {finest.view_px} px or more"
        ) from None
    return pyramid.sets, skipped


def _short_sides(data: str | Path) -> list[int]:
    """Short sides in px of all pictures of ``data`` whose headers can be read."""
    sides = []
    for picture in open_source(data).pictures:
        with suppress(InputError):  # the list of skipped files has the reason
            sides.append(min(read_size(read_picture(picture))))
    return sides


@dataclass(frozen=True)
class _Derived:
    """Pictures made of ``photos``, of the same sizes."""

    photos: Photos

    @property
    def view_px(self) -> int:
        return self.photos.view_px

    @property
    def patch_px(self) -> int:
        return self.photos.patch_px


@dataclass(frozen=True)
class Half(_Derived):
    """Every second one of ``photos`` in a random order of ``seed``, the others for another ``number`` (0 or 1)."""

    seed: int
    number: int

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs."""
        return f"{self.photos.fingerprint} half {self.number} of seed {self.seed}"

    def __len__(self) -> int:
        return len(range(self.number, len(self.photos), 2))

    def view(self, index: int) -> Tensor:
        """View ``index`` of this half (H, W, 3) uint8."""
        order = torch.randperm(len(self.photos), generator=_rng(f"halves:{self.seed}"))
        return self.photos.view(int(order[2 * index + self.number]))

    def patch(self, sample: int, *, seed: int) -> tuple[Tensor, float]:
        """Patch (3, patch_px, patch_px) uint8 of sample number ``sample``, placed as those of all photographs are."""
        view, rng = self.view(sample % len(self)), _rng(f"half:{seed}:{self.number}:{sample}")
        room = self.view_px - self.patch_px
        tops = [int(torch.randint(0, size - self.view_px + 1, (), generator=rng)) for size in view.shape[:2]]
        row, column = (int(torch.randint(0, room + 1, (), generator=rng)) for _ in range(2))
        y, x = tops[0] + row, tops[1] + column
        patch = view[y : y + self.patch_px, x : x + self.patch_px].permute(2, 0, 1)
        mirrored = bool(torch.randint(0, 2, (), generator=rng))
        return patch.flip(2) if mirrored else patch, 2 * row / room - 1 if room else 0.0


@dataclass(frozen=True)
class Turned(_Derived):
    """``photos`` turned by quarters, as training shows them to a model that has no up and down."""

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs."""
        return f"{self.photos.fingerprint} turned"

    def __len__(self) -> int:
        return len(self.photos)

    def view(self, index: int) -> Tensor:
        """View ``index`` (H, W, 3) uint8, each turned by a fixed number of quarters."""
        return self.photos.view(index).rot90(_quarters(f"view:{index}"), (0, 1))

    def patch(self, sample: int, *, seed: int) -> tuple[Tensor, float]:
        """Patch (3, patch_px, patch_px) uint8 of sample number ``sample``, turned."""
        patch, position = self.photos.patch(sample, seed=seed)
        return patch.rot90(_quarters(f"patch:{seed}:{sample}"), (1, 2)), position


def _quarters(text: str) -> int:
    return int(torch.randint(0, 4, (), generator=_rng(text)))


def halves(photos: Photos, *, seed: int) -> tuple[Half, Half]:
    """Two random halves without a common photograph. Raises InputError for a single photograph."""
    if len(photos) < 2:
        raise InputError(
            f"a floor compares two halves of the photographs, and there is {len(photos)} with views of {photos.view_px} px; "
            "add photographs, or leave --floor out"
        )
    return Half(photos, seed, 0), Half(photos, seed, 1)


def _rng(text: str) -> torch.Generator:
    digest = hashlib.blake2b(f"infgen floor:{text}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

"""Photographs of one scale: checked, decoded once to training views, and cut into random patches.

The photograph, crop and flip of a sample depend only on the seed and the sample number. So a resumed run gets exactly
the patches of an uninterrupted one.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MIB
from infgen.progress import Progress, silent
from infgen.train.data.archives import Picture, SkippedFile
from infgen.train.data.prefetch import map_in_order, thread_count
from infgen.train.data.sources import Source, open_source, read_picture
from infgen.train.data.views import read_view

EPOCHS_KEPT = 2  # permutations in memory: a batch may span two epochs
PREFETCH_BYTES = 512 * MIB  # of decoded views that are ready before their batch


@dataclass(frozen=True)
class Batch:
    """Real patches (B, 3, H, W) in [-1, 1] and their vertical positions (B,) in [-1, 1]; 1 is the bottom of the view."""

    images: Tensor
    position: Tensor


class PhotoSet:
    """Photographs as training views of short side ``view_px``, from which patches of side ``patch_px`` are cut.

    Decoded views stay in memory up to ``cache_bytes`` (default INFGEN_DATA_CACHE_MB). Threads decode the other views
    again before they are needed. ``pre_resize_px``: resize every photograph to this short side first.
    """

    def __init__(
        self,
        source: Source,
        *,
        view_px: int,
        patch_px: int,
        pre_resize_px: int | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.source, self.view_px, self.patch_px, self.pre_resize_px = source, view_px, patch_px, pre_resize_px
        self.photos: list[Picture] = []
        self._digest = hashlib.sha256()
        self._known_fingerprint: str | None = None
        self._views: dict[int, Tensor] = {}
        self._free_cache_bytes = DATA_CACHE_MB.value() * MIB if cache_bytes is None else cache_bytes
        self._prefetched: dict[int, Future[Tensor]] = {}
        self._orders: dict[tuple[int, int], Tensor] = {}

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the photographs' names and views, in order."""
        return self._known_fingerprint or self._digest.hexdigest()

    def __len__(self) -> int:
        return len(self.photos)

    @classmethod
    def open(
        cls,
        data: str | Path,
        *,
        view_px: int,
        patch_px: int,
        pre_resize_px: int | None = None,
        progress: Progress = silent,
    ) -> tuple["PhotoSet", list[SkippedFile]]:
        """Read and check every photograph of ``data`` (see ``open_source``). Also returns the skipped files with reasons.

        Raises InputError if no photograph is usable, and whatever ``open_source`` raises.
        """
        source = open_source(data)
        skipped = list(source.skipped)
        photo_set = cls(source, view_px=view_px, patch_px=patch_px, pre_resize_px=pre_resize_px)
        views = map_in_order(photo_set._read_or_error, source.pictures)
        for done, (picture, view) in enumerate(zip(source.pictures, views, strict=True), 1):
            if isinstance(view, InputError):
                skipped.append(SkippedFile(picture.label, str(view)))
            else:
                photo_set.add(picture, view)
            progress(done, len(source))
        if not photo_set.photos:
            raise source.no_photograph_error(skipped)
        return photo_set, skipped

    def _read_or_error(self, picture: Picture) -> Tensor | InputError:
        try:
            return self._read(picture)
        except InputError as error:
            return error

    def _read(self, picture: Picture) -> Tensor:
        return read_view(read_picture(picture), self.view_px, pre_resize_px=self.pre_resize_px)

    def add(self, picture: Picture, view: Tensor) -> None:
        """Add a photograph with its view (H, W, 3) uint8. Keep the view in memory if the cache has room."""
        self._digest.update(picture.name.encode("utf-8", "surrogateescape"))
        self._digest.update(view.numpy().data)
        self._keep(len(self.photos), view)
        self.photos.append(picture)

    def add_known(self, pictures: Sequence[Picture], *, fingerprint: str) -> None:
        """Add photographs that an earlier start has decoded and checked, in the order of that ``fingerprint``."""
        self.photos.extend(pictures)
        self._known_fingerprint = fingerprint

    def _keep(self, index: int, view: Tensor) -> None:
        if view.numel() <= self._free_cache_bytes:
            self._views[index] = view
            self._free_cache_bytes -= view.numel()

    def view(self, index: int) -> Tensor:
        """Return view ``index`` (H, W, 3) uint8, decoding it if it is not cached. Raises InputError if the file was removed."""
        if index in self._views:
            return self._views[index]
        prefetched = self._prefetched.pop(index, None)
        view = self._decode(index) if prefetched is None else prefetched.result()
        self._keep(index, view)
        return view

    def _decode(self, index: int) -> Tensor:
        try:
            return self._read(self.photos[index])
        except InputError as error:
            raise InputError(
                f"photograph {self.photos[index].label} is no longer usable: {error}; restore the file"
            ) from None

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(thread_count(), thread_name_prefix="infgen-photos")

    def prefetch(self, samples: range, *, seed: int) -> None:
        """Start decoding, in threads, the views that a later ``batch`` of ``samples`` needs and the cache does not hold.

        This changes no result. Errors are raised by that ``batch``. Above about ``PREFETCH_BYTES`` of prefetched views
        the oldest are dropped, but never below twice the number of ``samples``.
        """
        for index in [self._photo_index(sample, seed) for sample in samples]:
            if index not in self._views:
                prefetched = self._prefetched.pop(index, None)
                self._prefetched[index] = self._pool.submit(self._decode, index) if prefetched is None else prefetched
        typical_bytes = 3 * self.view_px * round(1.5 * self.view_px)  # of a view of aspect 3:2
        while len(self._prefetched) > max(PREFETCH_BYTES // typical_bytes, 2 * len(samples)):
            self._prefetched.pop(next(iter(self._prefetched))).cancel()

    def _photo_index(self, sample: int, seed: int) -> int:
        """Return the photograph of sample number ``sample``: every epoch is a new permutation of all photographs."""
        epoch, position = divmod(sample, len(self))
        if (seed, epoch) not in self._orders:
            while len(self._orders) >= EPOCHS_KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[seed, epoch] = torch.randperm(len(self), generator=_make_rng(seed, epoch, "epoch"))
        return int(self._orders[seed, epoch][position])

    def patch(self, sample: int, *, seed: int, beyond: float = 0.0, turns: bool = False) -> tuple[Tensor, float]:
        """Cut patch (3, patch_px, patch_px) uint8 of sample number ``sample``. Also returns its vertical position in [-1, 1].

        A square view of side ``view_px`` is placed at random along the long side, and the patch at random inside it.
        Half of all patches are mirrored (paper Section 4: random crops of 197 px views with their vertical position).
        A share ``beyond`` of all patches touches the top or bottom edge of its view. ``turns``: turn patches by 0 to 3
        quarters, for pictures that have no up.
        """
        view = self.view(self._photo_index(sample, seed))
        rng = _make_rng(seed, sample, "patch")
        room = self.view_px - self.patch_px
        top, left = _random_int(view.shape[0] - self.view_px, rng), _random_int(view.shape[1] - self.view_px, rng)
        row, column = _random_int(room, rng), _random_int(room, rng)
        if beyond and float(torch.rand((), generator=rng)) < beyond:
            row = room * _random_int(1, rng)
        y, x = top + row, left + column
        patch = view[y : y + self.patch_px, x : x + self.patch_px].permute(2, 0, 1)
        position = 2 * row / room - 1 if room else 0.0  # a patch as large as the view has no position
        patch = patch.flip(2) if _random_int(1, rng) else patch
        return (patch.rot90(_random_int(3, rng), (1, 2)) if turns else patch), position

    def batch(
        self, samples: range, *, seed: int, device: torch.device, beyond: float = 0.0, turns: bool = False
    ) -> Batch:
        """Return the patches of ``samples``, which depend only on ``samples``, ``seed`` and the photographs; see ``patch``.

        Raises InputError if a photograph was removed, and InfgenError if a connection is lost.
        """
        self.prefetch(samples, seed=seed)
        patches, positions = zip(*(self.patch(i, seed=seed, beyond=beyond, turns=turns) for i in samples), strict=True)
        images = torch.stack(patches).to(device)  # copied as bytes: a quarter of the size of floats
        return Batch(images.float().div_(127.5).sub_(1), torch.tensor(positions, device=device))


def _random_int(high: int, rng: torch.Generator) -> int:
    """Draw an integer from 0 to ``high``, both included."""
    return int(torch.randint(0, high + 1, (), generator=rng))


def _make_rng(seed: int, number: int, purpose: str) -> torch.Generator:
    """Make a generator whose state depends only on the arguments."""
    text = f"{purpose}:{seed}:{number}".encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1)

"""Photographs as training views: read, checked, decoded once, and cut into random patches.

Which photograph, crop and flip a sample gets is a function of the seed and the sample's number alone, so a resumed run
sees exactly what an uninterrupted one would.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MIB
from infgen.train.data.archives import Picture, Skipped
from infgen.train.data.prefetch import in_order, thread_count
from infgen.train.data.sources import Source, open_source, read
from infgen.train.data.views import read_view

EPOCHS_KEPT = 2  # orders in memory: a batch may lie across the end of an epoch
AHEAD_BYTES = 512 * MIB  # of decoded views that may wait for their batch


@dataclass(frozen=True)
class Batch:
    """Real patches (B, 3, H, W) in [-1, 1] and their vertical positions (B,) in [-1, 1], 1 at the lower end."""

    images: Tensor
    position: Tensor


class PhotoSet:
    """Photographs as training views of short side ``view_px``, from which patches of ``patch_px`` are cut.

    Decoded views stay in memory up to INFGEN_DATA_CACHE_MB; the others are decoded again by threads, ahead of need.
    With ``pre_resize_px`` every photograph passes through that short side first. ``cache_bytes``: instead of that limit.
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
        self._views: dict[int, Tensor] = {}
        self._room = DATA_CACHE_MB.value() * MIB if cache_bytes is None else cache_bytes
        self._ahead: dict[int, Future[Tensor]] = {}
        self._orders: dict[tuple[int, int], Tensor] = {}

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs in exactly this order, hexadecimal."""
        return self._digest.hexdigest()

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
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple["PhotoSet", list[Skipped]]:
        """Read and check every photograph of ``data`` (see ``open_source``); also returns the skipped ones with reasons.

        Raises InputError where no photograph is usable, and what ``open_source`` raises.
        """
        source = open_source(data)
        skipped = list(source.skipped)
        photo_set = cls(source, view_px=view_px, patch_px=patch_px, pre_resize_px=pre_resize_px)
        views = in_order(photo_set._try, source.pictures)
        for done, (picture, view) in enumerate(zip(source.pictures, views, strict=True), 1):
            if isinstance(view, InputError):
                skipped.append(Skipped(picture.label, str(view)))
            else:
                photo_set.add(picture, view)
            progress(done, len(source))
        if not photo_set.photos:
            raise source.nothing_usable(skipped)
        return photo_set, skipped

    def _try(self, picture: Picture) -> Tensor | InputError:
        try:
            return self._read(picture)
        except InputError as error:
            return error

    def _read(self, picture: Picture) -> Tensor:
        return read_view(read(picture), self.view_px, pre_resize_px=self.pre_resize_px)

    def add(self, picture: Picture, view: Tensor) -> None:
        """Take a photograph; keep its view where there is room."""
        self._digest.update(picture.name.encode("utf-8", "surrogateescape"))
        self._digest.update(view.numpy().data)
        if view.numel() <= self._room:
            self._views[len(self.photos)] = view
            self._room -= view.numel()
        self.photos.append(picture)

    def view(self, index: int) -> Tensor:
        """View ``index`` (H, W, 3) uint8, from memory where it is there. Raises InputError where the file is gone."""
        if index in self._views:
            return self._views[index]
        expected = self._ahead.pop(index, None)
        return self._decode(index) if expected is None else expected.result()

    def _decode(self, index: int) -> Tensor:
        try:
            return self._read(self.photos[index])
        except InputError as error:
            raise InputError(f"photograph {self.photos[index].label} was usable before: {error}; put it back") from None

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(thread_count(), thread_name_prefix="infgen-photos")

    def expect(self, samples: range, *, seed: int) -> None:
        """Begin to decode, in threads, what a later ``batch`` of these ``samples`` needs and memory does not hold.

        Changes no result. What goes wrong is raised by that ``batch``. The views expected first are dropped where more
        than about ``AHEAD_BYTES`` would wait; twice as many as ``samples`` always may.
        """
        for index in [self._index(sample, seed) for sample in samples]:
            if index not in self._views:
                waiting = self._ahead.pop(index, None)
                self._ahead[index] = self._pool.submit(self._decode, index) if waiting is None else waiting
        usual = 3 * self.view_px * round(1.5 * self.view_px)  # bytes of a view of 3:2
        while len(self._ahead) > max(AHEAD_BYTES // usual, 2 * len(samples)):
            self._ahead.pop(next(iter(self._ahead))).cancel()

    def _index(self, sample: int, seed: int) -> int:
        """Photograph of sample number ``sample``: a fresh permutation of all photographs every epoch."""
        epoch, position = divmod(sample, len(self))
        if (seed, epoch) not in self._orders:
            while len(self._orders) >= EPOCHS_KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[seed, epoch] = torch.randperm(len(self), generator=_rng(seed, epoch, "epoch"))
        return int(self._orders[seed, epoch][position])

    def patch(self, sample: int, *, seed: int, beyond: float = 0.0) -> tuple[Tensor, float]:
        """Patch (3, patch_px, patch_px) uint8 of sample number ``sample`` and its vertical position in [-1, 1].

        A square view of ``view_px`` is placed at random along the long side, the patch at random inside it, and half of
        all patches are mirrored (paper Section 4: random crops of 197 px views with their vertical position).
        A share ``beyond`` of all patches lies at the upper or lower edge of its view.
        """
        view = self.view(self._index(sample, seed))
        rng = _rng(seed, sample, "patch")
        room = self.view_px - self.patch_px
        top, left = _up_to(view.shape[0] - self.view_px, rng), _up_to(view.shape[1] - self.view_px, rng)
        row, column = _up_to(room, rng), _up_to(room, rng)
        if beyond and float(torch.rand((), generator=rng)) < beyond:
            row = room * _up_to(1, rng)
        y, x = top + row, left + column
        patch = view[y : y + self.patch_px, x : x + self.patch_px].permute(2, 0, 1)
        position = 2 * row / room - 1 if room else 0.0  # a whole view has none
        return (patch.flip(2) if _up_to(1, rng) else patch), position

    def batch(self, samples: range, *, seed: int, device: torch.device, beyond: float = 0.0) -> Batch:
        """The patches of ``samples``, a function of these, ``seed`` and the photographs alone; see ``patch``.

        Raises InputError where a photograph is gone, InfgenError where a connection is lost.
        """
        self.expect(samples, seed=seed)
        patches, positions = zip(*(self.patch(i, seed=seed, beyond=beyond) for i in samples), strict=True)
        images = torch.stack(patches).to(device)  # as bytes: a quarter of what floats would take on the way
        return Batch(images.float().div_(127.5).sub_(1), torch.tensor(positions, device=device))


def _up_to(high: int, rng: torch.Generator) -> int:
    """A whole number from 0 to ``high``, both included."""
    return int(torch.randint(0, high + 1, (), generator=rng))


def _rng(seed: int, number: int, purpose: str) -> torch.Generator:
    """A generator whose state depends on nothing but its arguments."""
    text = f"{purpose}:{seed}:{number}".encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1)

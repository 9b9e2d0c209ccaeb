"""Photographs at every scale that a model is judged at: one set of training views for each, from one reading of the data."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MIB
from infgen.model.scales import Scale
from infgen.train.data.archives import Picture, Skipped
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.prefetch import in_order
from infgen.train.data.sources import Source, open_source, read
from infgen.train.data.views import read_views

_NAMED_SIZES = 5  # sizes that a message lists


@dataclass(frozen=True)
class PhotoPyramid:
    """One ``PhotoSet`` for each scale, coarsest first. A photograph is in all sets whose views it is large enough for."""

    sets: tuple[PhotoSet, ...]

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs at exactly these scales, hexadecimal; of one set that set's own."""
        if len(self.sets) == 1:
            return self.sets[0].fingerprint
        return hashlib.sha256(" ".join(photos.fingerprint for photos in self.sets).encode()).hexdigest()

    def __len__(self) -> int:
        """Photographs that are used at any scale."""
        return max(len(photos) for photos in self.sets)

    @classmethod
    def open(
        cls,
        data: str | Path,
        scales: Sequence[Scale],
        *,
        pre_resize_px: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple["PhotoPyramid", list[Skipped]]:
        """Read and check every photograph of ``data`` once; also returns the skipped ones with reasons.

        No photograph is enlarged. Decoded views share INFGEN_DATA_CACHE_MB by their areas. Raises InputError where a scale
        has no photograph that is large enough, and what ``open_source`` raises.
        """
        source = open_source(data)
        shares = [scale.view_px**2 for scale in scales]
        room = DATA_CACHE_MB.value() * MIB
        sets = tuple(
            PhotoSet(
                source,
                view_px=scale.view_px,
                patch_px=scale.patch_px,
                pre_resize_px=pre_resize_px,
                cache_bytes=room * share // sum(shares),
            )
            for scale, share in zip(scales, shares, strict=True)
        )
        pyramid = cls(sets)
        skipped = list(source.skipped) + pyramid._read(source, progress)
        pyramid._check(source, skipped)
        return pyramid, skipped

    def _read(self, source: Source, progress: Callable[[int, int], None]) -> list[Skipped]:
        views_px = [photos.view_px for photos in self.sets]
        pre_resize_px = self.sets[0].pre_resize_px

        def views(picture: Picture) -> Sequence[Tensor | None] | InputError:
            try:
                return read_views(read(picture), views_px, pre_resize_px=pre_resize_px)
            except InputError as error:
                return error

        skipped = []
        for done, (picture, found) in enumerate(zip(source.pictures, in_order(views, source.pictures), strict=True), 1):
            if isinstance(found, InputError):
                skipped.append(Skipped(picture.label, str(found)))
            else:
                for photos, view in zip(self.sets, found, strict=True):
                    if view is not None:
                        photos.add(picture, view)
            progress(done, len(source))
        return skipped

    def _check(self, source: Source, skipped: Sequence[Skipped]) -> None:
        """Raise InputError where a scale has no photograph."""
        if not self.sets[0].photos:
            raise source.nothing_usable(skipped)
        for photos in self.sets:
            if not photos.photos:
                coarser = max((s for s in self.sets if s.photos), key=lambda s: s.view_px)
                names = ", ".join(picture.name for picture in coarser.photos[:_NAMED_SIZES])
                raise InputError(
                    f"data folder {source.title} holds no photograph with a short side of {photos.view_px} px, which the "
                    f"scale with views of {photos.view_px} px needs; the largest ({names}) are good for views of "
                    f"{coarser.view_px} px: add larger photographs, or train fewer scales (--view {coarser.view_px})"
                )

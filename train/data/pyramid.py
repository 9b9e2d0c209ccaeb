"""Photographs at every trained scale: one set of training views per scale, read from the data once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MIB
from infgen.model.scales import Scale
from infgen.progress import Progress, silent
from infgen.train.data.archives import Picture, SkippedFile
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.prefetch import map_in_order
from infgen.train.data.sources import Source, open_source, read_picture
from infgen.train.data.views import read_views

_LISTED_PHOTOS = 5  # in an error message


@dataclass(frozen=True)
class PhotoPyramid:
    """One ``PhotoSet`` per scale, coarsest first. A photograph is in every set whose view it is large enough for."""

    sets: tuple[PhotoSet, ...]

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the photographs at these scales; with one scale, the fingerprint of its set."""
        if len(self.sets) == 1:
            return self.sets[0].fingerprint
        return hashlib.sha256(" ".join(photos.fingerprint for photos in self.sets).encode()).hexdigest()

    def __len__(self) -> int:
        """Number of photographs used at any scale."""
        return max(len(photos) for photos in self.sets)

    @classmethod
    def open(
        cls,
        data: str | Path,
        scales: Sequence[Scale],
        *,
        pre_resize_px: int | None = None,
        progress: Progress = silent,
    ) -> tuple["PhotoPyramid", list[SkippedFile]]:
        """Read and check every photograph of ``data`` once. Also returns the skipped files with reasons.

        No photograph is enlarged. The scales share INFGEN_DATA_CACHE_MB in proportion to their view areas. Raises
        InputError if a scale has no photograph that is large enough, and whatever ``open_source`` raises.
        """
        source = open_source(data)
        areas = [scale.view_px**2 for scale in scales]
        cache_bytes = DATA_CACHE_MB.value() * MIB
        sets = tuple(
            PhotoSet(
                source,
                view_px=scale.view_px,
                patch_px=scale.patch_px,
                pre_resize_px=pre_resize_px,
                cache_bytes=cache_bytes * area // sum(areas),
            )
            for scale, area in zip(scales, areas, strict=True)
        )
        pyramid = cls(sets)
        skipped = list(source.skipped) + pyramid._read_photos(source, progress)
        pyramid._check_scales(source, skipped)
        return pyramid, skipped

    def _read_photos(self, source: Source, progress: Progress) -> list[SkippedFile]:
        views_px = [photos.view_px for photos in self.sets]
        pre_resize_px = self.sets[0].pre_resize_px

        def read_or_error(picture: Picture) -> Sequence[Tensor | None] | InputError:
            try:
                return read_views(read_picture(picture), views_px, pre_resize_px=pre_resize_px)
            except InputError as error:
                return error

        skipped = []
        results = map_in_order(read_or_error, source.pictures)
        for done, (picture, views) in enumerate(zip(source.pictures, results, strict=True), 1):
            if isinstance(views, InputError):
                skipped.append(SkippedFile(picture.label, str(views)))
            else:
                for photos, view in zip(self.sets, views, strict=True):
                    if view is not None:
                        photos.add(picture, view)
            progress(done, len(source))
        return skipped

    def _check_scales(self, source: Source, skipped: Sequence[SkippedFile]) -> None:
        """Raise InputError if a scale has no photograph."""
        if not self.sets[0].photos:
            raise source.no_photograph_error(skipped)
        for photos in self.sets:
            if not photos.photos:
                coarser = max((s for s in self.sets if s.photos), key=lambda s: s.view_px)
                names = ", ".join(picture.name for picture in coarser.photos[:_LISTED_PHOTOS])
                raise InputError(
                    f"data folder {source.title} holds no photograph with a short side of {photos.view_px} px, which the "
                    f"scale with views of {photos.view_px} px needs; the largest ({names}) suffice for views of "
                    f"{coarser.view_px} px: add larger photographs, or train fewer scales (--view {coarser.view_px})"
                )

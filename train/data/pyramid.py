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
from infgen.train.data.index import Index, index_file, lock_index, read_index, write_index
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
        data: str | Path | Source,
        scales: Sequence[Scale],
        *,
        pre_resize_px: int | None = None,
        progress: Progress = silent,
    ) -> tuple["PhotoPyramid", list[SkippedFile]]:
        """Read and check every photograph of ``data`` once. Also returns the skipped files with reasons.

        No photograph is enlarged. The scales share INFGEN_DATA_CACHE_MB in proportion to their view areas. Raises
        InputError if a scale has no photograph that is large enough, and whatever ``open_source`` raises.
        """
        source = data if isinstance(data, Source) else open_source(data)
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
        skipped = list(source.skipped) + pyramid._add_photos(source, progress)
        pyramid._check_scales(source, skipped)
        return pyramid, skipped

    def _add_photos(self, source: Source, progress: Progress) -> list[SkippedFile]:
        """Add the photographs of ``source``: from the index of an earlier start, or by decoding all. Returns the others."""
        views_px, pre_resize_px = [photos.view_px for photos in self.sets], self.sets[0].pre_resize_px
        file = index_file(source, views_px=views_px, pre_resize_px=pre_resize_px)
        if file is None:
            index = self._read_photos(source, views_px, pre_resize_px, progress)
        else:
            with lock_index(file):
                known = read_index(file, scales=len(self.sets))
                index = known or self._read_photos(source, views_px, pre_resize_px, progress)
                if known is None:
                    write_index(file, index)
                else:
                    self._add_known(source, known)
        return [SkippedFile(source.pictures[number].label, reason) for number, reason in index.skipped.items()]

    def _add_known(self, source: Source, index: Index) -> None:
        for photos, too_small, fingerprint in zip(self.sets, index.too_small, index.fingerprints, strict=True):
            usable = [p for n, p in enumerate(source.pictures) if n not in index.skipped and n not in too_small]
            photos.add_known(usable, fingerprint=fingerprint)

    def _read_photos(
        self, source: Source, views_px: Sequence[int], pre_resize_px: int | None, progress: Progress
    ) -> Index:
        """Decode and add every photograph, once for all scales."""

        def read_or_error(picture: Picture) -> Sequence[Tensor | None] | InputError:
            try:
                return read_views(read_picture(picture), views_px, pre_resize_px=pre_resize_px)
            except InputError as error:
                return error

        skipped: dict[int, str] = {}
        too_small: list[set[int]] = [set() for _ in self.sets]
        results = map_in_order(read_or_error, source.pictures)
        for number, (picture, views) in enumerate(zip(source.pictures, results, strict=True)):
            if isinstance(views, InputError):
                skipped[number] = str(views)
            else:
                for photos, small, view in zip(self.sets, too_small, views, strict=True):
                    if view is None:
                        small.add(number)
                    else:
                        photos.add(picture, view)
            progress(number + 1, len(source))
        fingerprints = tuple(photos.fingerprint for photos in self.sets)
        return Index(skipped, tuple(map(frozenset, too_small)), fingerprints)

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

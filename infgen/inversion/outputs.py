"""Write the files of a continued photograph: pictures, sheet of samples, worlds and latents, under one name.

out.png  out.world.json  out.5f3a09c1.safetensors            one picture
out-1.png  out-1.world.json ...  out-sheet.png               several samples; their worlds share the latents
"""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from infgen.atomic import TEMPORARY_PREFIX, check_output, write_atomically
from infgen.errors import InputError, LimitError
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.continuation import Joining, draw_samples
from infgen.limits import MIB
from infgen.metadata import Metadata, save_options, with_source_type
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.sheet import Sheet, check_sheet, draw_sheet, save_sheet
from infgen.rendering.studio import Studio
from infgen.world.anchoring import file_sha256
from infgen.world.anchors import AnchoredLatents

MAX_SAMPLES = 64
SHEET_SIDE_PX = 1024  # longest side of one sample on the sheet
_DIGITS = 8  # digits of the hash in the name of latents
# Upper bounds of sizes on disk: a picture per px, noise being the worst; latents per px of a photograph at working size,
# of all noises and of the cells around it; worlds with styles.
_PICTURE_BYTES, _LATENTS_BYTES, _FIXED_BYTES = 4, 40, 2 * MIB
# Extension -> (Pillow's name, longest side in px, options). Only JPEG is lossy.
_SAVERS: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    ".png": ("PNG", 2**31 - 1, {}),
    ".jpg": ("JPEG", 65_500, {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", 65_500, {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", 16_383, {"lossless": True}),
    ".tif": ("TIFF", 2**31 - 1, {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", 2**31 - 1, {"compression": "tiff_adobe_deflate"}),
}


@dataclass(frozen=True)
class Outputs:
    """File names of one run. ``picture``: requested name; ``samples``: number of pictures, each of another seed."""

    picture: Path
    samples: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MAX_SAMPLES:
            raise InputError(f"{self.samples} samples are out of range; allowed are 1 to {MAX_SAMPLES}")

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Path of each sample."""
        if self.samples == 1:
            return (self.picture,)
        return tuple(self.picture.with_stem(f"{self.picture.stem}-{i + 1}") for i in range(self.samples))

    @property
    def sheet(self) -> Path | None:
        """Path of the sheet of all samples; None for a single sample."""
        return None if self.samples == 1 else self.picture.with_name(f"{self.picture.stem}-sheet.png")

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of all pictures, their worlds and the sheet."""
        sheet = () if self.sheet is None else (self.sheet,)
        return (*self.pictures, *(_world_file(picture) for picture in self.pictures), *sheet)

    def check(self, arrangement: Arrangement) -> None:
        """Raise InputError or LimitError if the pictures of ``arrangement`` cannot be written. Creates nothing."""
        width, height = arrangement.size
        if self.picture.suffix.lower() not in _SAVERS:
            raise InputError(f"output {self.picture} has no known ending; give one of {', '.join(_SAVERS)}")
        name, longest, _ = _SAVERS[self.picture.suffix.lower()]
        if max(width, height) > longest:
            raise LimitError(
                f"{name} holds at most {longest} px per side, not {width} x {height} px; write .png instead"
            )
        stem = self.picture.stem
        if not stem.isprintable():  # also of bytes that are no UTF-8
            raise InputError(
                f"output name {stem[:60]!r} has characters that a world file cannot name; use printable ones"
            )
        for picture in self.pictures:
            check_output(picture)
            check_output(_world_file(picture))
        check_output(self._latents_file("0" * _DIGITS))
        self._check_disk(arrangement)
        if self.sheet is not None:
            check_sheet(self.sheet, Sheet(self.samples, _columns(width, height), *_sheet_size(width, height)))

    def _check_disk(self, arrangement: Arrangement) -> None:
        """Raise LimitError if pictures, sheet, worlds and latents may not fit on the disk."""
        width, height = arrangement.size
        shown = _sheet_size(width, height)
        pixels = self.samples * (width * height + (shown[0] * shown[1] if self.sheet is not None else 0))
        photographs = sum(photo.region.pixels for photo in arrangement.photographs)
        needed = _PICTURE_BYTES * pixels + _LATENTS_BYTES * photographs + _FIXED_BYTES * self.samples
        folder = check_output(self.picture).parent
        if needed > (free := shutil.disk_usage(folder).free):
            raise LimitError(
                f"the output needs up to {needed / MIB:,.0f} MiB of disk and {free / MIB:,.0f} MiB are free in {folder}; "
                "free some, or choose another folder"
            )

    def _latents_file(self, digits: str) -> Path:
        return self.picture.with_name(f"{self.picture.stem}.{digits}.safetensors")

    def save_latents(self, latents: AnchoredLatents) -> Path:
        """Write ``latents`` next to the picture, to a file named by picture and hash. Returns the path."""
        folder = check_output(self.picture).parent
        temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.safetensors"
        try:
            latents.save(temporary)
            path = folder / self._latents_file(file_sha256(temporary)[:_DIGITS]).name
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        return path


def draw(
    arrangement: Arrangement,
    latents: Sequence[Path],
    *,
    studio: Studio,
    outputs: Outputs,
    seed: int,
    joining: Joining,
    strip: bool = False,
    progress: Progress = silent,
) -> list[Path]:
    """Render and write all pictures, their worlds and the sheet. Returns the paths of pictures, the sheet last.

    ``latents``: files, one per photograph. Seeds as for ``draw_samples``. ``strip``: write no metadata of the photograph.
    Calls ``progress(samples done, samples in total)``. Raises InputError if a file cannot be written or latents do not fit
    the model.
    """
    shown: list[tuple[str, Pixels]] = []
    drawn = draw_samples(arrangement, latents, studio=studio, seed=seed, samples=outputs.samples, joining=joining)
    for i, (path, (world, picture)) in enumerate(zip(outputs.pictures, drawn, strict=True)):
        world.save(_world_file(path))
        _save(picture, path, arrangement.profile, Metadata() if strip else arrangement.metadata)
        if outputs.sheet is not None:
            shown.append((f"{path.name}, seed {world.seed}", _thumbnail(picture)))
        progress(i + 1, outputs.samples)
    if outputs.sheet is None:
        return list(outputs.pictures)
    height, width, _ = shown[0][1].shape
    sheet = Sheet(outputs.samples, _columns(*arrangement.size), w=width, h=height)
    save_sheet(draw_sheet(sheet, shown), outputs.sheet, profile=arrangement.profile)
    return [*outputs.pictures, outputs.sheet]


def _world_file(picture: Path) -> Path:
    return picture.with_name(f"{picture.stem}.world.json")


def _save(pixels: Pixels, path: Path, profile: bytes | None, metadata: Metadata) -> None:
    name, _, options = _SAVERS[path.suffix.lower()]
    picture = Image.fromarray(pixels)
    kept = save_options(with_source_type(metadata), file_format=name, size=picture.size)
    with write_atomically(path) as temporary:
        picture.save(temporary, name, icc_profile=profile, **options, **kept)


def _sheet_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of a sample on the sheet in px."""
    scale = min(1.0, SHEET_SIDE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _columns(width: int, height: int) -> int:
    return 1 if width > 2 * height else 2


def _thumbnail(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize(_sheet_size(width, height), Image.Resampling.LANCZOS))

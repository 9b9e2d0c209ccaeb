"""Photographs as training views: found, checked, decoded once, and cut into random patches.

Which photograph, crop and flip a sample gets is a function of the seed and the sample's number alone, so a resumed run
sees exactly what an uninterrupted one would.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import ExifTags, Image
from torch import Tensor

from infgen.errors import InputError
from infgen.limits import DATA_CACHE_MB, MAX_PHOTO_PIXELS, MIB

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
# EXIF orientation -> what makes it upright. (ImageOps.exif_transpose rewrites all metadata, and fails on odd ones.)
_UPRIGHT: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be trained on, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Batch:
    """Real patches (B, 3, H, W) in [-1, 1] and their vertical positions (B,) in [-1, 1], 1 at the lower end."""

    images: Tensor
    position: Tensor


def find_photos(folder: Path) -> list[Path]:
    """All picture files below ``folder``, sorted by relative path. Raises InputError where the folder is missing."""
    if not folder.is_dir():
        raise InputError(f"data folder {folder} does not exist or is not a folder; give a folder of photographs")
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def read_view(path: Path, view_px: int) -> Tensor:
    """One photograph with its short side brought to ``view_px``, (H, W, 3) uint8.

    The header is checked before anything is decoded. EXIF orientation is applied; grey, palette and CMYK become RGB;
    transparency is laid over white. Raises InputError with the reason where the photograph cannot be used.
    """
    limit = MAX_PHOTO_PIXELS.value()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: odd metadata, and sizes that are checked below
            with Image.open(path, formats=FORMATS) as image:
                _check_header(image, view_px=view_px, limit=limit)
                image.draft("RGB", (view_px, view_px))
                return _to_view(image, view_px)
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise InputError(f"it cannot be read ({' '.join(str(error).split()) or type(error).__name__})") from None


def _check_header(image: Image.Image, *, view_px: int, limit: int) -> None:
    width, height = image.size
    if width * height > limit:
        raise InputError(f"{width} x {height} px is over the limit of {limit} pixels ({MAX_PHOTO_PIXELS.name})")
    if min(width, height) < view_px:
        raise InputError(f"{width} x {height} px is too small; the short side must be at least {view_px} px")
    if image.mode not in MODES:
        raise InputError(f"colour mode {image.mode} is not supported; save it as RGB or grey with 8 bits per channel")


def _to_view(image: Image.Image, view_px: int) -> Tensor:
    image.load()  # turns a TIFF by itself, and removes its orientation
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode in {"LA", "PA", "RGBA"} or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    rgb = upright.convert("RGB")
    scale = view_px / min(rgb.size)
    size = (max(view_px, round(rgb.width * scale)), max(view_px, round(rgb.height * scale)))
    data = bytearray(rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).tobytes())
    return torch.frombuffer(data, dtype=torch.uint8).view(size[1], size[0], 3)


class PhotoSet:
    """A folder of photographs as training views of short side ``view_px``, from which patches of ``patch_px`` are cut.

    Decoded views stay in memory up to INFGEN_DATA_CACHE_MB; what does not fit is decoded again when it is needed.
    """

    def __init__(self, folder: Path, *, view_px: int, patch_px: int) -> None:
        self.folder, self.view_px, self.patch_px = folder, view_px, patch_px
        self.photos: list[Path] = []
        self._digest = hashlib.sha256()
        self._views: dict[int, Tensor] = {}
        self._room = DATA_CACHE_MB.value() * MIB

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs in exactly this order, hexadecimal."""
        return self._digest.hexdigest()

    def __len__(self) -> int:
        return len(self.photos)

    def view(self, index: int) -> Tensor:
        """View ``index`` (H, W, 3) uint8, from memory where it is there. Raises InputError where the file is gone."""
        if index in self._views:
            return self._views[index]
        path = self.photos[index]
        try:
            return read_view(path, self.view_px)
        except InputError as error:
            raise InputError(f"photograph {path} was usable before: {error}; put it back") from None

    def _add(self, path: Path) -> None:
        """Take the photograph ``path``; keep its view where there is room. Raises InputError where it is not usable."""
        view = read_view(path, self.view_px)
        self._digest.update(os.fsencode(path.relative_to(self.folder).as_posix()))
        self._digest.update(view.numpy().tobytes())
        if view.numel() <= self._room:
            self._views[len(self.photos)] = view
            self._room -= view.numel()
        self.photos.append(path)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        view_px: int,
        patch_px: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple["PhotoSet", list[Skipped]]:
        """Read and check every photograph below ``folder``. Returns the usable ones and the skipped ones with reasons.

        Raises InputError where no photograph is usable.
        """
        paths = find_photos(folder)
        skipped: list[Skipped] = []
        photo_set = cls(folder, view_px=view_px, patch_px=patch_px)
        for done, path in enumerate(paths, 1):
            try:
                photo_set._add(path)
            except InputError as error:
                skipped.append(Skipped(path, str(error)))
            progress(done, len(paths))
        if not photo_set.photos:
            example = f"; {skipped[0].path.name}: {skipped[0].reason}" if skipped else ""
            raise InputError(f"data folder {folder} holds no usable photograph ({len(paths)} pictures found{example})")
        return photo_set, skipped

    def _index(self, sample: int, seed: int) -> int:
        """Photograph of sample number ``sample``: a fresh permutation of all photographs every epoch."""
        epoch, position = divmod(sample, len(self))
        order = torch.randperm(len(self), generator=_rng(seed, epoch, "epoch"))
        return int(order[position])

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
        return (patch.flip(2) if _up_to(1, rng) else patch), 2 * row / room - 1

    def batch(self, step: int, size: int, *, seed: int, device: torch.device, beyond: float = 0.0) -> Batch:
        """The batch of training step ``step``."""
        samples = range(step * size, (step + 1) * size)
        patches, positions = zip(*(self.patch(i, seed=seed, beyond=beyond) for i in samples), strict=True)
        images = torch.stack(patches).to(device).float().div_(127.5).sub_(1)
        return Batch(images, torch.tensor(positions, device=device))


def _up_to(high: int, rng: torch.Generator) -> int:
    """A whole number from 0 to ``high``, both included."""
    return int(torch.randint(0, high + 1, (), generator=rng))


def _rng(seed: int, number: int, purpose: str) -> torch.Generator:
    """A generator whose state depends on nothing but its arguments."""
    text = f"{purpose}:{seed}:{number}".encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1)

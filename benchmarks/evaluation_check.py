"""Do the offline distances rise with what is wrong? Real photographs against other, blurred and recoloured ones.

    python -m benchmarks.evaluation_check PHOTOS --n 1000 --vgg-weights vgg.safetensors

One half of the photographs, chosen by their names' hashes, is the reference. Against it: the other half, and that
half again, blurred and with shifted colours. The first distance is the floor that no model of so many pictures passes.
"""

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.render import console, machine
from infgen.train.data.photo_set import PhotoSet
from infgen.train.evaluation import WeightFiles, load_network
from infgen.train.evaluation.distances import frechet
from infgen.train.evaluation.features import collect

VIEW_PX, PATCH_PX = 197, 101
BLUR_PX, SHIFT = 0.7, (80, -40, -60)  # a slight blur, a strong cast: standard deviation in px; red, green, blue of 255


def halves(photos: Path, into: Path) -> tuple[Path, Path]:
    """Two folders with about half of the photographs each."""
    folders = into / "a", into / "b"
    for folder in folders:
        folder.mkdir()
    for path in sorted(p for p in photos.iterdir() if p.is_file()):
        shutil.copy(path, folders[hashlib.sha256(path.name.encode()).digest()[1] % 2])
    return folders


def patches(folder: Path, count: int, seed: int) -> Tensor:
    """``count`` random patches (count, 3, 101, 101) uint8."""
    photos, _ = PhotoSet.open(folder, view_px=VIEW_PX, patch_px=PATCH_PX)
    return torch.stack([photos.patch(i, seed=seed)[0] for i in range(count)])


def blur(images: Tensor) -> Tensor:
    """Gaussian blur."""
    reach = round(3 * BLUR_PX)
    taps = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * BLUR_PX**2))
    taps = (taps / taps.sum()).expand(3, 1, -1)
    x = F.pad(images.float(), [reach] * 4, mode="reflect")
    x = F.conv2d(F.conv2d(x, taps.unsqueeze(2), groups=3), taps.unsqueeze(3), groups=3)
    return x.round().clamp(0, 255).byte()


def recolour(images: Tensor) -> Tensor:
    """Every channel moved by a constant."""
    return (images.int() + torch.tensor(SHIFT)[:, None, None]).clamp(0, 255).byte()


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--n", default=1000, show_default=True)
@click.option("--vgg-weights", type=click.Path(path_type=Path))
def main(photos: Path, n: int, vgg_weights: Path | None) -> None:
    """Print the distances of PHOTOS' halves."""
    names = ["effnet", *(["vgg"] if vgg_weights else [])]
    networks = [load_network(name, WeightFiles(vgg=vgg_weights)) for name in names]
    with TemporaryDirectory() as scratch:
        first, second = halves(photos, Path(scratch))
        reference, other = patches(first, n, 1), patches(second, n, 2)
    sets = {"other half": other, "other half, blurred": blur(other), "other half, recoloured": recolour(other)}
    real = collect(iter(reference), networks, count=n)
    table = Table("against one half", *(f"FD-{name}" for name in names), title=f"N = {n}")
    for title, images in sets.items():
        features = collect(iter(images), networks, count=n)
        table.add_row(title, *(f"{frechet(real[name], features[name]):.1f}" for name in names))
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()

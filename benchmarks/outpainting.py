"""How well photographs are inverted and continued: the protocol of the paper's Table 2, baselines beside it, and sheets.

    python -m benchmarks.outpainting PHOTOS --out results --n 40 --seconds 120
    python -m benchmarks.outpainting PHOTOS --out results --n 40 --seconds 120 --sheets
    python -m benchmarks.outpainting PHOTOS --out pictures --all --n 6 --sheets

PHOTOS: a folder. Photographs for which the SHA-256 of the file name begins with a byte below 16 are used, on which no model
was trained; with --all any of them, for pictures that may be shown. Of each, the middle 256 x 256 px at a short side of 256 px:
the left 128 columns are known, and 256 x 256 px are asked for. Everything that takes long is kept in the folder ``--out``: run
the same command again to go on.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor

from benchmarks.render import console, machine
from infgen.bench.memory import peak_resident_bytes
from infgen.inversion.arrangement import Arrangement, Extension, inbetweening, outpainting, panorama
from infgen.inversion.invert import CONTINUING
from infgen.inversion.optimise import Settings, optimise
from infgen.inversion.placing import Placed, place
from infgen.photo import open_photograph
from infgen.pixels import Pixels
from infgen.rendering.sheet import Sheet, draw_sheet, save_sheet
from infgen.rendering.studio import Studio, open_studio
from infgen.train.evaluation.distances import frechet, inception_score
from infgen.train.evaluation.features import EffNetFeatures, collect
from infgen.train.networks import efficientnet
from infgen.world.world import World

SIDE_PX, KNOWN_PX = 256, 128
LONG_PX, PANORAMA_PX = 1280, 2080  # the widths of the paper's Figure 34 and of its cyclic panorama
HELD_OUT = 16  # of 256
SAMPLES, SHOWN = 4, 6
METHODS = ("infgen", "reflect", "OpenCV inpainting", "mean colour")


def chosen(folder: Path, count: int, *, any_part: bool) -> list[Path]:
    """The first ``count`` photographs of ``folder`` by name, of the test part alone unless ``any_part``."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    return [p for p in paths if any_part or hashlib.sha256(p.name.encode()).digest()[0] < HELD_OUT][:count]


def square(path: Path) -> Pixels:
    """The middle of the photograph at a short side of 256 px, (256, 256, 3) uint8."""
    image = open_photograph(path, short_px=SIDE_PX).image
    scale = SIDE_PX / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - SIDE_PX) // 2, (image.height - SIDE_PX) // 2
    return np.asarray(image.crop((left, top, left + SIDE_PX, top + SIDE_PX)))


# Baselines: the known half (256, 128, 3) -> (256, 256, 3)


def reflected(known: Pixels) -> Pixels:
    """The known half, mirrored."""
    return np.concatenate([known, known[:, ::-1]], axis=1)


def inpainted(known: Pixels) -> Pixels:
    """OpenCV's inpainting (Telea, Journal of Graphics Tools 9, 2004) with a radius of 5 px."""
    import cv2

    wide = np.concatenate([known, np.zeros_like(known)], axis=1)
    mask = np.zeros(wide.shape[:2], np.uint8)
    mask[:, KNOWN_PX:] = 255
    return np.asarray(cv2.inpaint(wide, mask, 5, cv2.INPAINT_TELEA), np.uint8)


def mean_colour(known: Pixels) -> Pixels:
    """The mean of the known half all over the other one."""
    return np.concatenate([known, np.broadcast_to(known.mean((0, 1)).round().astype(np.uint8), known.shape)], axis=1)


BASELINES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "reflect": reflected,
    "OpenCV inpainting": inpainted,
    "mean colour": mean_colour,
}


def seam(picture: Pixels, column: int = KNOWN_PX) -> float:
    """Mean absolute step into ``column`` over the median of such steps in the picture: about 1 where no seam is."""
    steps = np.abs(np.diff(picture.astype(np.float64), axis=1)).mean((0, 2))
    return float(steps[column - 1] / max(float(np.median(steps)), 1e-9))


# Inversions, kept in a folder


@dataclass(frozen=True)
class Bench:
    """What all inversions of one benchmark share. ``folder``: where they are kept."""

    folder: Path
    studio: Studio
    settings: Settings
    seconds: float | None

    def inverted(self, name: str, placed: Placed, *, period: int | None = None) -> Path:
        """The file with the latents of ``placed``; made now unless it is there. Raises UsageError for other settings."""
        path, record = self.folder / f"{name}.safetensors", self.folder / f"{name}.json"
        asked = {
            "steps": self.settings.steps,
            "style": self.settings.weights.style,
            "seconds": self.seconds,
            "model": self.studio.model_hash,
        }
        if path.exists() and record.exists():
            if self.record(name)["asked"] != asked:
                raise click.UsageError(f"{record} was made with other settings or another model; choose another --out")
            return path
        start = time.perf_counter()
        found = optimise(
            placed.target(),
            self.studio.generator,
            settings=self.settings,
            model_sha256=self.studio.model_hash,
            period=period,
            seconds=self.seconds,
        )
        found.latents.save(path)
        values = {
            "asked": asked,
            "psnr": found.psnr,
            "lpips": found.lpips,
            "seconds": time.perf_counter() - start,
            "steps": found.steps,
        }
        record.write_text(json.dumps(values))
        console.print(f"{name}: {found.psnr:.1f} dB, LPIPS {found.lpips:.3f}, {values['seconds']:.0f} s")
        return path

    def record(self, name: str) -> dict[str, Any]:
        """What was measured while ``name`` was inverted."""
        values: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return values

    def drawn(self, arrangement: Arrangement, files: list[Path], *, seed: int = 0) -> Pixels:
        """The finished picture, (h, w, 3) uint8."""
        generated = self.studio.with_world(arrangement.world(files, seed=seed)).array(arrangement.region)
        return arrangement.compose(generated)


def known_half(path: Path, *, x: int = 0) -> Placed:
    """The left half of the photograph's square, at working size."""
    return place(open_photograph(np.ascontiguousarray(square(path)[:, :KNOWN_PX])), height=SIDE_PX, x=x)


def continued(bench: Bench, path: Path, width: int, *, seed: int = 0) -> Pixels:
    """The known half of a photograph continued to the right until the picture is ``width`` px wide."""
    placed = known_half(path)
    arrangement = outpainting(placed, Extension(right=width - KNOWN_PX))
    return bench.drawn(arrangement, [bench.inverted(path.stem, placed)], seed=seed)


# The table


def tensors(pictures: Iterable[Pixels]) -> Tensor:
    """The halves that were asked for, (N, 3, 256, 128) uint8."""
    return torch.stack([torch.from_numpy(p[:, KNOWN_PX:].copy()).permute(2, 0, 1) for p in pictures])


@torch.inference_mode()
def class_logits(halves: Tensor) -> Tensor:
    """EfficientNet-Lite0's logits of pictures (N, 3, H, W) uint8, (N, 1000)."""
    network = efficientnet.load("the IS-like score")
    return torch.cat([network((part.float() - 127) / 128) for part in halves.split(16)])


def table(pictures: Mapping[str, list[Pixels]], real: list[Pixels]) -> Table:
    """All methods against the photographs themselves."""
    network, count = EffNetFeatures(), len(real)
    true = collect(iter(tensors(real)), [network], count=count)["effnet"]
    result = Table("the half asked for", "FD-EffNet", "IS-like", "seam", title=f"N = {count}")
    for name, found in {"the photograph itself": real, **pictures}.items():
        halves = tensors(found)
        distance = frechet(true, collect(iter(halves), [network], count=count)["effnet"])
        score = inception_score(class_logits(halves)).mean if count >= 20 else float("nan")
        result.add_row(name, f"{distance:.1f}", f"{score:.2f}", f"{np.mean([seam(p) for p in found]):.2f}")
    return result


def evaluate(bench: Bench, paths: list[Path]) -> None:
    """Print the tables and write the sheet of pictures."""
    ours = [continued(bench, path, SIDE_PX) for path in paths]
    real = [square(path) for path in paths]
    pictures = {"infgen": ours} | {
        name: [method(np.ascontiguousarray(p[:, :KNOWN_PX])) for p in real] for name, method in BASELINES.items()
    }
    records = [bench.record(path.stem) for path in paths]
    for name, unit in (("psnr", "dB"), ("lpips", ""), ("seconds", "s")):
        values = [r[name] for r in records]
        console.print(
            f"reconstruction {name}: mean {np.mean(values):.3g} {unit}, {min(values):.3g} to {max(values):.3g}"
        )
    console.print(table(pictures, real))
    console.print(f"peak memory {peak_resident_bytes() / 2**20:.0f} MiB")
    rows = [
        (path.name, np.concatenate([pictures[m][i] for m in METHODS] + [real[i]], axis=1))
        for i, path in enumerate(paths)
    ]
    write(bench, "table", rows)


def write(bench: Bench, name: str, rows: list[tuple[str, Pixels]]) -> None:
    """A sheet of pictures of one size, one below the other."""
    height, width, _ = rows[0][1].shape
    save_sheet(draw_sheet(Sheet(len(rows), 1, width, height), rows), bench.folder / f"{name}.png")
    console.print(bench.folder / f"{name}.png")


# The sheets


def sheets(bench: Bench, paths: list[Path]) -> None:
    """Long-range outpainting, samples, inbetweening and panoramas of the first photographs."""
    first = paths[:SHOWN]
    write(bench, "long", [(p.name, continued(bench, p, LONG_PX)) for p in first])
    write(bench, "samples", [(p.name, samples(bench, p)) for p in first])
    write(
        bench,
        "inbetween",
        [(f"{a.name}, {b.name}", between(bench, a, b)) for a, b in zip(first[::2], first[1::2], strict=False)],
    )
    write(bench, "panorama", [(p.name, rolled(bench, p)) for p in first])


def samples(bench: Bench, path: Path) -> Pixels:
    """Four continuations of 512 px side by side: only what lies outside the photograph's latents differs."""
    return np.concatenate([continued(bench, path, 2 * SIDE_PX, seed=seed) for seed in range(SAMPLES)], axis=1)


def between(bench: Bench, left: Path, right: Path) -> Pixels:
    """Two photographs 256 x 128 px at the ends of a picture 1280 px wide."""
    ends = known_half(left), known_half(right, x=LONG_PX - KNOWN_PX)
    files = [bench.inverted(left.stem, ends[0]), bench.inverted(f"{right.stem}-right", ends[1])]
    return bench.drawn(inbetweening(ends, config=bench.studio.generator.config), files)


def rolled(bench: Bench, path: Path) -> Pixels:
    """A cyclic panorama of 2080 px, rolled by half: its ends meet in the middle, the photograph lies across the edge."""
    placed = known_half(path)
    arrangement = panorama(placed, width=PANORAMA_PX, config=bench.studio.generator.config)
    picture = bench.drawn(arrangement, [bench.inverted(f"{path.stem}-cyclic", placed, period=PANORAMA_PX)])
    return np.roll(picture, PANORAMA_PX // 2, axis=1)


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for inversions and sheets.")
@click.option("--n", default=40, show_default=True, help="Photographs.")
@click.option("--steps", default=CONTINUING.steps, show_default=True, help="Most steps of one inversion.")
@click.option("--style", default=CONTINUING.weights.style, show_default=True, help="Weight of the prior of styles.")
@click.option("--seconds", type=float, help="Most seconds of one inversion.")
@click.option("--model", help="[default: the shipped model]")
@click.option("--sheets", "with_sheets", is_flag=True, help="Also write the sheets.")
@click.option("--all", "any_part", is_flag=True, help="Not only photographs that no model was trained on.")
def main(
    photos: Path,
    out: Path,
    n: int,
    steps: int,
    style: float,
    seconds: float | None,
    model: str | None,
    with_sheets: bool,
    any_part: bool,
) -> None:
    """Invert and continue photographs of the folder PHOTOS."""
    paths = chosen(photos, n, any_part=any_part)
    out.mkdir(parents=True, exist_ok=True)
    settings = replace(CONTINUING, steps=steps, weights=replace(CONTINUING.weights, style=style))
    bench = Bench(out, open_studio(World(), model=model), settings, seconds)
    console.print(machine())
    evaluate(bench, paths)
    if with_sheets:
        sheets(bench, paths)


if __name__ == "__main__":
    main()

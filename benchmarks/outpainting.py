"""Measure how well photographs are continued, at their own size, against simpler methods, and draw sheets.

    python -m benchmarks.outpainting PHOTOS --out R --n 12 --vgg-weights FILE
    python -m benchmarks.outpainting PHOTOS --out R --n 12 --sheets

PHOTOS: a folder. Photographs are used for which the SHA-256 of the name, ending in .jpg, begins with a byte below 16; no
model was trained on them. The last 400 px of each are hidden, and continued again. Latents and pictures are kept in the
folder --out: run the same command again to continue.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.table import Table

from benchmarks.render import console, machine
from infgen.atomic import write_atomically
from infgen.bench.memory import peak_resident_bytes
from infgen.inversion.arrangement import (
    FEATHER_PX,
    Arrangement,
    Extension,
    inbetweening,
    outpainting,
    panorama,
    place_row,
)
from infgen.inversion.continuation import invert_photograph
from infgen.inversion.detail import match_detail
from infgen.inversion.placing import Placed, place
from infgen.inversion.selecting import select_seed
from infgen.inversion.settings import CONTINUING
from infgen.perceptual import Lpips
from infgen.photo import Photograph, open_photograph
from infgen.pixels import Pixels
from infgen.rendering.compositing import REACHES_PX, insert, match_colours
from infgen.rendering.sheet import Sheet, draw_sheet, save_sheet
from infgen.rendering.studio import Studio, open_studio
from infgen.train.evaluation.continuations import join_step, octave_powers, squares
from infgen.train.evaluation.distances import frechet
from infgen.train.evaluation.features import FeatureNetwork, WeightFiles, collect, load_network
from infgen.world.world import World

HIDDEN_PX, SAMPLED_PX = 400, 200
SIDES = (100, 200, 400)
HELD_OUT = 16  # of 256
SAMPLES = 4  # of each of the first photographs
SAMPLED = 8


@dataclass(frozen=True)
class Bench:
    """A model, and the folder for latents."""

    folder: Path
    studio: Studio

    def invert(self, name: str, photo: Placed, *, period: int | None = None) -> Path:
        """Return the file with the latents of ``photo``, made now unless it exists."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            found = invert_photograph(photo, studio=self.studio, settings=CONTINUING, period=period)
            found.latents.save(path)
            record = {"psnr": found.psnr, "lpips": found.lpips, "seconds": found.seconds}
            path.with_suffix(".json").write_text(json.dumps(record))
            console.print(f"{name}: {found.psnr:.1f} dB, LPIPS {found.lpips:.3f}, {found.seconds:.0f} s")
        return path

    def keep(self, name: str, make: Callable[[], Pixels]) -> Pixels:
        """Return the picture ``name``, made now unless it exists."""
        path = self.folder / f"{name}.png"
        if not path.exists():
            with write_atomically(path) as temporary:
                Image.fromarray(make()).save(temporary, format="png")
        return np.asarray(Image.open(path))

    def render(self, arrangement: Arrangement, world: World) -> Pixels:
        """Render the region of ``arrangement``."""
        rendering = self.studio.coarser(arrangement.rendered_halvings).with_world(world)
        return rendering.array(arrangement.rendered_region)

    def finish(self, arrangement: Arrangement, files: Sequence[Path], *, seed: int = 0) -> Pixels:
        """Return the finished picture."""
        chosen = select_seed(arrangement, files, studio=self.studio, seed=seed)
        return arrangement.compose(self.render(arrangement, arrangement.world(files, seed=chosen)), seed=chosen)


def choose(folder: Path, count: int, *, any_part: bool) -> list[Path]:
    """Return the first ``count`` photographs that are wide enough."""
    found = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}):
        if any_part or is_held_out(path):
            with Image.open(path) as image:
                if image.width >= max(2 * HIDDEN_PX, image.height) and image.height >= HIDDEN_PX:
                    found.append(path)
    return found[:count]


def is_held_out(path: Path) -> bool:
    """Whether no model was trained on the photograph."""
    return hashlib.sha256(f"{path.stem}.jpg".encode()).digest()[0] < HELD_OUT


def known_part(path: Path) -> tuple[Photograph, Pixels]:
    """Return the photograph without its last columns, and the whole photograph."""
    whole = np.asarray(open_photograph(path).image)
    return open_photograph(np.ascontiguousarray(whole[:, :-HIDDEN_PX])), whole


# Methods: the known part (H, w, 3) -> (H, w + 400, 3)


def mirror(known: Pixels) -> Pixels:
    """Mirror the known part."""
    return np.concatenate([known, known[:, ::-1][:, :HIDDEN_PX]], axis=1)


def inpainted(known: Pixels) -> Pixels:
    """Inpaint with OpenCV (Telea, Journal of Graphics Tools 9, 2004) and a radius of 5 px."""
    import cv2

    wide = np.concatenate([known, np.zeros_like(known[:, :HIDDEN_PX])], axis=1)
    mask = np.zeros(wide.shape[:2], np.uint8)
    mask[:, known.shape[1] :] = 255
    return np.asarray(cv2.inpaint(wide, mask, 5, cv2.INPAINT_TELEA), np.uint8)


BASELINES: Mapping[str, Callable[[Pixels], Pixels]] = {"mirror": mirror, "OpenCV inpainting": inpainted}


def model_alone(bench: Bench, arrangement: Arrangement, file: Path, *, seed: int = 0) -> Pixels:
    """Continue without patches of the photograph: the model's picture, with matched colours and detail."""
    chosen = select_seed(arrangement, [file], studio=bench.studio, seed=seed)
    generated = bench.render(arrangement, arrangement.world([file], seed=chosen))
    picture = arrangement.compose(generated, keep=False)
    pixels, known = arrangement.photographs[0].photograph.pixels()
    px = arrangement.photographs[0].scale[1]
    reaches = [round(reach * px) for reach in REACHES_PX]
    picture = match_colours(picture, pixels, known, x=0, y=0, reaches=reaches)
    picture = insert(picture, pixels, known, x=0, y=0, feather=round(FEATHER_PX * px))
    mask = np.zeros(picture.shape[:2], np.bool_)
    mask[:, : pixels.shape[1]] = True
    return match_detail(picture, mask, px=px / 2 ** (arrangement.halvings - arrangement.rendered_halvings), seed=chosen)


# The table


def compare(bench: Bench, paths: Sequence[Path], networks: Sequence[FeatureNetwork]) -> None:
    """Continue all photographs by all methods, and print the distances, steps, spectra and diversity."""
    names = ["infgen", "model alone", *BASELINES]
    pictures: dict[str, list[Pixels]] = {name: [] for name in ("photographs", *names)}
    columns, diversity = [], {"infgen": [], "model alone": []}  # type: ignore[var-annotated]
    metric = Lpips.load("alex", None)
    for number, path in enumerate(paths):
        count = SAMPLES if number < SAMPLED else 1
        photograph, whole = known_part(path)
        photo = place(photograph)
        file = bench.invert(path.stem, photo)
        arrangement = outpainting(
            photo, Extension(right=HIDDEN_PX), scale="source", config=bench.studio.generator.config
        )
        column = photograph.image.width
        makers = {
            "infgen": partial(bench.finish, arrangement, [file]),
            "model alone": partial(model_alone, bench, arrangement, file),
        }
        samples = {
            name: [bench.keep(f"{path.stem}-{name}-{seed}", partial(make, seed=seed)) for seed in range(count)]
            for name, make in makers.items()
        }
        for name, drawn in samples.items():
            if count > 1:
                diversity[name].append(diverse(drawn, column, metric))
            pictures[name].append(drawn[0])
        known = np.asarray(photograph.image)
        for name, method in BASELINES.items():
            pictures[name].append(bench.keep(f"{path.stem}-{name}", partial(method, known)))
        pictures["photographs"].append(whole)
        columns.append(column)
    report(pictures, columns, networks)
    for name, values in diversity.items():
        console.print(
            f"LPIPS between {SAMPLES} samples of {len(values)}, first {SAMPLED_PX} px, {name}: {np.mean(values):.3f}"
        )


@torch.inference_mode()
def diverse(pictures: Sequence[Pixels], column: int, metric: Lpips) -> float:
    """Return the mean LPIPS between pairs of samples in the first px beyond the photograph."""
    parts = [
        torch.from_numpy(p[:, column : column + SAMPLED_PX].astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        for p in pictures
    ]
    features = [metric.trunk(part) for part in parts]
    return float(np.mean([float(metric.between(a, b).sum()) for a, b in combinations(features, 2)]))


def report(
    pictures: Mapping[str, Sequence[Pixels]], columns: Sequence[int], networks: Sequence[FeatureNetwork]
) -> None:
    """Print the table of all methods."""
    heads = [f"FD-{network.name} {side} px" for side in SIDES for network in networks]
    table = Table("method", *heads, "step", "power of octaves", title=f"{len(columns)} photographs")
    features = {name: measure(parts, columns, networks) for name, parts in pictures.items()}
    for name, parts in pictures.items():
        row = []
        for side in SIDES:
            for network in networks:
                real, fake = (features[key][side, network.name] for key in ("photographs", name))
                row.append("0" if name == "photographs" else f"{frechet(real, fake):.0f} (N {len(fake)})")
        step = np.median([join_step(p, c) for p, c in zip(parts, columns, strict=True)])
        table.add_row(name, *row, f"{step:.2f}", spectrum(parts, columns))
    console.print(table)


def measure(
    pictures: Sequence[Pixels], columns: Sequence[int], networks: Sequence[FeatureNetwork]
) -> dict[tuple[int, str], torch.Tensor]:
    """Return the features of the squares of each side by each network."""
    found = {}
    for side in SIDES:
        parts = [square for p, c in zip(pictures, columns, strict=True) for square in squares(p, column=c, side=side)]
        for name, values in collect(iter(parts), networks, count=len(parts)).items():
            found[side, name] = values
    return found


def spectrum(pictures: Sequence[Pixels], columns: Sequence[int]) -> str:
    """Median ratio of octave powers: the 128 px beyond the join over the 128 px before it, the finest octave first."""
    ratios = []
    for picture, column in zip(pictures, columns, strict=True):
        before, after = (
            octave_powers(picture[:, column - 128 : column]),
            octave_powers(picture[:, column : column + 128]),
        )
        ratios.append([a / max(b, 1e-6) for a, b in zip(after, before, strict=True)])
    return " ".join(f"{value:.2f}" for value in np.median(ratios, 0))


# The sheets


def draw_sheets(bench: Bench, paths: Sequence[Path]) -> None:
    """Draw continued photographs, joined ones and panoramas."""
    config = bench.studio.generator.config
    continued, joined, circles = [], [], []
    for path in paths[:12]:
        photo = place(known_part(path)[0])
        arrangement = outpainting(photo, Extension(right=1024), scale="source", config=config)
        continued.append((path.name, bench.finish(arrangement, [bench.invert(path.stem, photo)])))
    for a, b in zip(paths[:8:2], paths[1:8:2], strict=True):
        photos = place_row([known_part(path)[0] for path in (a, b)], gap=1024, scale="source")
        row = inbetweening(photos, config=config, scale="source", gap=1024)
        files = [bench.invert(a.stem, photos[0]), bench.invert(f"{b.stem}-right", photos[1])]
        joined.append((f"{a.name}, {b.name}", bench.finish(row, files)))
    for path in paths[:4]:
        photo = place(known_part(path)[0])
        circle = panorama(photo, width=4096, config=config, scale="source")
        picture = bench.finish(circle, [bench.invert(f"{path.stem}-cyclic", photo, period=circle.period)])
        circles.append((path.name, np.roll(picture, picture.shape[1] // 2, axis=1)))
    for name, rows in (("continued", continued), ("joined", joined), ("panorama", circles)):
        write(bench, name, rows)


def write(bench: Bench, name: str, rows: Sequence[tuple[str, Pixels]]) -> None:
    """Write pictures below each other, 1200 px wide; each picture also at its own size."""
    small = []
    for i, (title, picture) in enumerate(rows):
        Image.fromarray(picture).save(bench.folder / f"{name}-{i + 1}.jpg", quality=92)
        size = 1200, round(picture.shape[0] * 1200 / picture.shape[1])
        small.append((title, np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))))
    height = max(picture.shape[0] for _, picture in small)
    padded = [(t, np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0)))) for t, p in small]
    save_sheet(draw_sheet(Sheet(len(padded), 1, w=1200, h=height), padded), bench.folder / f"{name}.png")
    console.print(bench.folder / f"{name}.png")


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for latents and sheets.")
@click.option("--n", default=40, show_default=True, help="Number of photographs.")
@click.option(
    "--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file for FD-VGG; without it FD-EffNet only."
)
@click.option("--model", help="[default: the shipped model]")
@click.option("--sheets", is_flag=True, help="Draw the sheets instead of the table.")
@click.option("--all", "any_part", is_flag=True, help="Use all photographs, not only held-out ones.")
def main(
    photos: Path, out: Path, n: int, vgg_weights: Path | None, model: str | None, sheets: bool, any_part: bool
) -> None:
    """Continue photographs of the folder PHOTOS."""
    out.mkdir(parents=True, exist_ok=True)
    bench = Bench(out, open_studio(World(), model=model))
    paths = choose(photos, n, any_part=any_part)
    console.print(machine())
    if sheets:
        draw_sheets(bench, paths)
    else:
        networks = [load_network("effnet")]
        if vgg_weights is not None:
            networks.append(load_network("vgg", WeightFiles(vgg=vgg_weights)))
        compare(bench, paths, networks)
    records = [json.loads(file.read_text()) for file in sorted(out.glob("*.json"))]
    for name in ("psnr", "lpips", "seconds"):
        console.print(f"inversion, {name}: mean {np.mean([r[name] for r in records]):.3g} of {len(records)}")
    console.print(f"peak memory {peak_resident_bytes() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()

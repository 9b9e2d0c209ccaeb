"""Train an encoder that predicts latents from a picture, and compare inversions that start from it with those that do not.

    python -m benchmarks.encoder PHOTOS --out encoder --steps 1500 --refine 300 --n 5

The encoder sees a picture at the coarsest scale. It predicts the style, shared by all rows, and z_l of the cells in the
picture. It is trained on pictures of the generator, and then on photographs by reconstruction. Held-out photographs
(see benchmarks.outpainting) and pictures of the model's own worlds are inverted with budgets from 0 to 60 steps: plain,
coarse to fine, and coarse to fine from the encoder. Writes ``curves.json`` and ``curves.png`` to --out. Seconds are of
processor time of one thread.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.outpainting import choose, is_held_out
from benchmarks.render import console, machine
from infgen.geometry import LayerSpans
from infgen.inversion.network import draw, freeze
from infgen.inversion.objective import Objective, Variables
from infgen.inversion.placing import place, working_config
from infgen.inversion.prior import StylePrior
from infgen.inversion.settings import CONTINUING, Settings
from infgen.inversion.window import Cover, Latents, Target
from infgen.model.checkpoint import SHIPPED, file_hash
from infgen.model.generator import Generator
from infgen.photo import open_photograph
from infgen.world import coordinates
from infgen.world.world import World

optimising = import_module("infgen.inversion.optimise")  # the package has a function of this name
BUDGETS = (0, 5, 10, 20, 40, 60)
CELLS = (12, 16)  # that a training picture shows, rows and columns
PX = 8  # of a cell at the coarsest scale
OUTSIDE = 5  # more cells that a window of the generator needs than it shows, along one axis
AROUND = 24  # more cells of z_l than of a window
FIRST = 14  # index in z_l of the first cell that is shown
BATCH = 8
WORLDS = (3, 5, 9)
METHODS = ("plain", "coarse to fine", "coarse to fine, encoder")


class Encoder(nn.Module):
    """Predict whitened styles (B, D) and z_l (B, C, n, m) from pictures (B, 3, 8 n, 8 m) in [-1, 1]."""

    def __init__(self, styles: int, local: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 96, 96)
        strides = (2, 2, 2, 1, 1)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1, padding_mode="replicate"), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.local = nn.Conv2d(widths[-1], local, 1)
        self.style = nn.Sequential(nn.Linear(2 * widths[-1] * 3, 256), nn.SiLU(), nn.Linear(256, styles))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return (whitened styles, z_l)."""
        found = self.trunk(image)
        bands = F.adaptive_avg_pool2d(found, (3, 1)).flatten(1), F.adaptive_max_pool2d(found, (3, 1)).flatten(1)
        return self.style(torch.cat(bands, 1)), self.local(found)


@dataclass(frozen=True, eq=False)
class Scene:
    """The coarsest scale of a generator, and windows of CELLS around the horizon."""

    generator: Generator
    prior: StylePrior

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of cells that the generator needs."""
        return CELLS[0] + OUTSIDE, CELLS[1] + OUTSIDE

    def coordinates(self) -> Tensor:
        """Return coordinates (B, K, n+29, m+29) of windows that begin above the horizon."""
        rows, columns = (n + OUTSIDE + AROUND for n in CELLS)
        down = torch.randint(-CELLS[0], 1, (BATCH, 1)) + torch.arange(rows) - FIRST
        return coordinates.encode(
            torch.arange(columns).expand(BATCH, -1), down, system=self.generator.config.coordinates
        )

    def latents(self, style: Tensor, z_l: Tensor) -> Latents:
        """Return latents with the same whitened ``style`` (B, D) in every row, and new noises."""
        config = self.generator.config
        noises = tuple(torch.randn(BATCH, 1, *size) for size in config.noise_shapes(self.window))
        w_plus = self.prior.style(style)[:, None].expand(-1, config.style_layers, -1)
        return Latents(z_l, torch.zeros(BATCH, config.global_channels), w_plus, noises)

    def draw(self, style: Tensor, z_l: Tensor) -> Tensor:
        """Pictures (B, 3, 8 n, 8 m)."""
        image = draw(self.generator, self.latents(style, z_l), self.coordinates())
        return image[:, :, : CELLS[0] * PX, : CELLS[1] * PX]

    def sample(self) -> tuple[Tensor, Tensor]:
        """Whitened styles (B, D) and z_l (B, C, n+24, m+24)."""
        config = self.generator.config
        style = self.prior.whiten(self.generator.mapping(torch.randn(BATCH, config.global_channels)))
        rows, columns = (n + AROUND for n in self.window)
        return style, torch.randn(BATCH, config.local_channels, rows, columns)


def shown(z_l: Tensor) -> Tensor:
    """Return the part of z_l (B, C, n+29, m+29) that lies below the picture: (B, C, n, m)."""
    after = OUTSIDE + AROUND - FIRST
    return z_l[:, :, FIRST:-after, FIRST:-after]


def train(scene: Scene, steps: int, photographs: Sequence[Path], refine: int) -> Encoder:
    """Train on ``steps`` batches of the generator's pictures, then ``refine`` batches of photographs."""
    config = scene.generator.config
    encoder = Encoder(config.global_channels, config.local_channels)
    adam = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    batches = crops(photographs)
    for step in range(steps + refine):
        for group in adam.param_groups:
            group["lr"] = 1e-3 * min(1.0, 2 * (1 - step / (steps + refine)))
        style, z_l = scene.sample()
        if step < steps:
            with torch.no_grad():
                image = scene.draw(style, z_l).clamp(-1, 1)
            found, local = encoder(image)
            losses = [F.mse_loss(found, style), F.mse_loss(local, shown(z_l))]
        else:
            image = next(batches)
            found, local = encoder(image)
            shown(z_l).copy_(local)
            again = scene.draw(found, z_l)
            losses = [20 * F.mse_loss(again, image), 0.05 * found.square().mean(), 0.05 * local.square().mean()]
        adam.zero_grad()
        sum(losses, torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        adam.step()
        if step % 100 == 0:
            console.print(f"step {step}: " + ", ".join(f"{float(loss):.3f}" for loss in losses))
    return encoder.eval()


def crops(photographs: Sequence[Path]) -> Iterator[Tensor]:
    """Yield batches of photographs, cut to CELLS at the coarsest scale, in [-1, 1]."""
    height, width = (PX * n for n in CELLS)
    images = [place(open_photograph(path), height=height).pixels for path in photographs]
    images = [image for image in images if image.shape[1] >= width]
    random = np.random.default_rng(0)
    while True:
        batch = []
        for index in random.integers(len(images), size=BATCH):
            left = int(random.integers(images[index].shape[1] - width + 1))
            batch.append(images[index][:, left : left + width])
        yield torch.from_numpy(np.stack(batch).astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def encoded_start(encoder: Encoder, target: Target) -> Variables:
    """Put the encoder's latents into the first guess of an inversion of ``target``."""
    plain = optimising._start

    def start(objective: Objective, cover: Cover, settings: Settings, index: int) -> Variables:
        variables = plain(objective, cover, settings, index)
        after = [size.pixels.size - place - known for size, place, known in _axes(cover, target)]
        window = F.pad(target.picture[None], [cover.left, after[1], cover.top, after[0]], "replicate")
        rows, columns = (n - OUTSIDE for n in cover.cells)
        small = F.avg_pool2d(window, 2)[:, :, : rows * PX, : columns * PX]
        with torch.no_grad():
            style, local = encoder(small)
        z_l = variables.z_l.detach().clone()
        shown(z_l).copy_(local)
        return replace(variables, z_l=z_l, style=style[:, None]).detach_copy()

    return start  # type: ignore[return-value]


def _axes(cover: Cover, target: Target) -> Iterator[tuple[LayerSpans, int, int]]:
    """Yield the spans of the window, and place and size of the target in it, down and across."""
    yield cover.y, cover.top, target.picture.shape[1]
    yield cover.x, cover.left, target.picture.shape[2]


def measure(targets: Sequence[Target], encoder: Encoder) -> dict[str, list[dict[str, float]]]:
    """Mean seconds, PSNR and LPIPS of every method at every budget."""
    generator, sha256 = Generator.from_pretrained(SHIPPED), file_hash(SHIPPED)
    generator = generator.coarser(working_config(generator.config).halvings)
    curves: dict[str, list[dict[str, float]]] = {}
    for method in METHODS:
        for steps in BUDGETS:
            settings = replace(CONTINUING, steps=steps, coarse_share=0 if method == "plain" else 0.75)
            rows = []
            for target in targets:
                start = encoded_start(encoder, target) if "encoder" in method else optimising._start
                began = time.process_time()
                with patch.object(optimising, "_start", start):
                    found = optimising.optimise(target, generator, model_sha256=sha256, settings=settings)
                seconds = time.process_time() - began
                rows.append((seconds, found.psnr, found.lpips, found.drift.style))
            values = dict(zip(("seconds", "psnr", "lpips", "drift"), np.mean(rows, 0).round(4).tolist(), strict=True))
            curves.setdefault(method, []).append({"steps": steps, **values})
            console.print(method, curves[method][-1])
    return curves


def plot(curves: dict[str, dict[str, list[dict[str, float]]]], path: Path) -> None:
    """Draw PSNR and LPIPS over seconds, photographs above and own worlds below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 2)
    for row, (what, methods) in zip(panels, curves.items(), strict=True):
        for axes, name, label in zip(row, ("psnr", "lpips"), ("PSNR, dB", "LPIPS"), strict=True):
            for method, points in methods.items():
                axes.plot([p["seconds"] for p in points], [p[name] for p in points], marker="o", label=method)
            axes.set(xlabel="seconds of one thread", ylabel=label, title=what)
            axes.grid(alpha=0.3)
    panels[0][0].legend()
    figure.savefig(path, dpi=100)


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--steps", default=1500, show_default=True, help="Batches of generated pictures.")
@click.option("--refine", default=300, show_default=True, help="Batches of photographs.")
@click.option("--n", default=5, show_default=True, help="Held-out photographs to invert.")
def main(photos: Path, out: Path, steps: int, refine: int, n: int) -> None:
    """Train and measure; see the module's docstring."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    console.print(machine())
    out.mkdir(parents=True, exist_ok=True)
    whole = freeze(Generator.from_pretrained(SHIPPED))
    scene = Scene(whole.coarser(max(whole.config.levels - 3, 0)), StylePrior.of(whole))
    train_set = [path for path in sorted(photos.iterdir()) if not is_held_out(path)]
    began = time.process_time()
    encoder = train(scene, steps, train_set[:200], refine)
    console.print(f"trained in {time.process_time() - began:.0f} s")
    sets = {
        "photographs": [place(open_photograph(path)).target() for path in choose(photos, n, any_part=False)],
        "the model's own worlds": [own(seed) for seed in WORLDS],
    }
    curves = {name: measure(targets, encoder) for name, targets in sets.items()}
    (out / "curves.json").write_text(json.dumps(curves, indent=1))
    plot(curves, out / "curves.png")


def own(seed: int) -> Target:
    """A picture of world ``seed`` at the working scale, at its own place."""
    whole = World(seed=seed).render(0, -98 * 4, 296 * 4, 197 * 4, scale="1/4", threads=1)
    return Target(torch.from_numpy(whole).permute(2, 0, 1) / 127.5 - 1, None, 0, -98)


if __name__ == "__main__":
    main()

"""The steps of ``benchmarks.gpu_day`` that no other benchmark has: environment, paper model, precisions, training.

python -m benchmarks.gpu_steps paper                      # expected time of 8192 x 8192 px by layer; needs no GPU
python -m benchmarks.gpu_steps precisions --device cuda
python -m benchmarks.gpu_steps training --device cuda
"""

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from PIL import Image
from rich.table import Table

from benchmarks.render import console, machine
from infgen.bench.configurations import model_file, ring_world
from infgen.bench.timing import lockstep
from infgen.engines import EagerEngine
from infgen.engines.eager import DTYPES, Precision
from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.rendering.cost import LayerCost, layer_costs
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, batch_inputs
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.presets import RECIPES, find_recipe
from infgen.train.processes import Processes
from infgen.train.step import Stepper

PACKAGES = ("torch", "triton", "onnxruntime-gpu", "onnxruntime", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx")
PHOTOS, PHOTO_PX = 8, 800
BYTES_PER_VALUE = 2  # of bf16 and fp16
ALLOWED_APART = 0.1  # largest difference of bf16 from fp32, as a share of the range of pixels
_GIGA = 1e9


@dataclass(frozen=True)
class LayerTime:
    """Expected time of one layer of a whole picture, from its arithmetic and from the bytes that it moves."""

    name: str
    flops: float
    bytes_moved: float
    seconds_arithmetic: float
    seconds_memory: float

    @property
    def seconds(self) -> float:
        """The larger of the two: the other one is hidden behind it."""
        return max(self.seconds_arithmetic, self.seconds_memory)


def bytes_moved(layer: LayerCost) -> int:
    """Bytes of one layer in a 16-bit type: input read, output written, and read and written once more by the epilogue.

    An RGB layer has no epilogue; its three channels are float32.
    """
    read = layer.read[0] * layer.read[1] * layer.in_channels * BYTES_PER_VALUE
    positions = layer.written[0] * layer.written[1]
    if layer.name.startswith("rgb"):
        return read + positions * layer.out_channels * 4
    return read + 3 * positions * layer.out_channels * BYTES_PER_VALUE


def layer_times(config: GeneratorConfig, *, side: int, tflops: float, tb_per_s: float) -> Iterator[LayerTime]:
    """Yield the expected time of every layer for a square of ``side`` px on a card of these peak rates."""
    plan = make_plan(Region(0, -(side // 2), side, side), config, memory=2**34, bytes_per_value=BYTES_PER_VALUE)
    for layer in layer_costs(config, plan.cells):
        flops, moved = float(layer.flops * plan.tile_count), float(bytes_moved(layer) * plan.tile_count)
        yield LayerTime(layer.name, flops, moved, flops / (tflops * 1e12), moved / (tb_per_s * 1e12))


def save_photos(folder: Path) -> None:
    """Write pictures of noise under a gradient: training reads them like photographs, and only its speed counts."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(PHOTOS):
        rows = np.linspace(220, 60, PHOTO_PX)[:, None, None]
        pixels = rows + random.normal(0, 20, (PHOTO_PX, PHOTO_PX + 100, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


@click.group()
def main() -> None:
    """Run one step; see the module's docstring."""


@main.command()
@click.option("--device", default="cuda", show_default=True)
def environment(device: str) -> None:
    """Print processor, GPU, driver and packages. Fails if the device does not compute."""
    console.print(machine(torch.device(device)), platform.platform(), f"Python {platform.python_version()}")
    for package in PACKAGES:
        try:
            console.print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            console.print(f"{package} is missing")
    if device == "cuda":
        console.print(subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=True).stdout)
    ones = torch.ones(64, 64, device=device)
    console.print(f"sum of a product on {device}: {float((ones @ ones).sum()):.0f} (262144)")


@main.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--side", default=8192, show_default=True)
@click.option("--tflops", default=989.0, show_default=True, help="Peak of the card in dense bf16, TFLOP/s.")
@click.option("--bandwidth", default=4.8, show_default=True, help="Peak of the card's memory, TB/s.")
def paper(model: str | None, side: int, tflops: float, bandwidth: float) -> None:
    """Print the time that a render needs at least, by layer. Defaults are an H200's data sheet."""
    with model_file(model=model, preset_name=None) as path:
        config = Generator.from_pretrained(path).config
    times = list(layer_times(config, side=side, tflops=tflops, tb_per_s=bandwidth))
    table = Table("layer", "GFLOP", "GB", "arithmetic, ms", "memory, ms", "bound by", title=f"{side} x {side} px")
    for t in times:
        limit = "memory" if t.seconds_memory > t.seconds_arithmetic else "arithmetic"
        cells = (t.flops / _GIGA, t.bytes_moved / _GIGA, 1e3 * t.seconds_arithmetic, 1e3 * t.seconds_memory)
        table.add_row(t.name, *(f"{value:,.2f}" for value in cells), limit)
    console.print(table)
    seconds = sum(t.seconds for t in times)
    console.print(f"at least {1e3 * seconds:.1f} ms, {side**2 / seconds / 1e6:,.0f} Mpx/s, without fields and the file")


@main.command()
@click.option("--device", default="cuda", show_default=True)
@click.option("--preset", help="Random weights of this size instead of the shipped model.")
@click.option("--tile", default=997, show_default=True)
@click.option("--rounds", default=10, show_default=True)
def precisions(device: str, preset: str | None, tile: int, rounds: int) -> None:
    """Compare bf16 with fp32, one style and four. Fails if pixels are farther apart than a tenth of the range."""
    with model_file(model=None, preset_name=preset) as path:
        generator = Generator.from_pretrained(path, device=device)
    names: tuple[Precision, ...] = ("fp32", "bf16")
    table = Table("styles", *(f"{name}, ms" for name in names), "ratio", "largest difference", "mean difference")
    for styles in (1, 4):
        plan = make_plan(Region(0, 0, tile - 40, tile - 40), generator.config, memory=2**34, tile_px=tile)
        world = ring_world(plan, styles)
        scenes = [
            Scene(world, world_palette(world, generator), EagerEngine(generator, precision=name)) for name in names
        ]
        inputs = [batch_inputs(scene, plan, plan.batch_tiles(0)) for scene in scenes]
        pictures = [s.engine.render_float(i).float().cpu() for s, i in zip(scenes, inputs, strict=True)]
        works = [lambda s=s, i=i: s.engine.render_float(i).sum().item() for s, i in zip(scenes, inputs, strict=True)]
        slow, fast = (sorted(t.seconds for t in turns)[rounds // 2] for turns in lockstep(works, rounds=rounds))
        apart = (pictures[0] - pictures[1]).abs() / 2
        cells = (f"{1e3 * slow:.2f}", f"{1e3 * fast:.2f}", f"{slow / fast:.2f}")
        table.add_row(str(styles), *cells, f"{float(apart.max()):.4f}", f"{float(apart.mean()):.5f}")
        if preset is None and float(apart.mean()) > ALLOWED_APART:
            raise click.ClickException(f"bf16 differs from fp32 by {float(apart.mean()):.3f} on average")
    console.print(table)


@main.command()
@click.option("--device", default="cuda", show_default=True)
@click.option("--preset", type=click.Choice(list(RECIPES)), default="scenery-small", show_default=True)
@click.option("--precision", type=click.Choice(list(DTYPES)), default="bf16", show_default=True)
@click.option("--steps", default=40, show_default=True, help="Steps to time, after as many that warm up.")
def training(device: str, preset: str, precision: str, steps: int) -> None:
    """Print images a second of the training step, plain and with the texture's layers compiled by Inductor."""
    recipe = find_recipe(preset)
    with TemporaryDirectory() as folder:
        save_photos(Path(folder))
        photos, _ = PhotoPyramid.open(folder, recipe.trained_scales)
        for compiled in (False, True) if device == "cuda" else (False,):
            stepper = Stepper(recipe, photos, Processes(device), precision=precision)
            if compiled:
                for layer in stepper.state.generator.texture.convs:
                    layer.compile(dynamic=True)
            for _ in range(steps):
                stepper.step()
            (turns,) = lockstep([stepper.step], rounds=steps)
            seconds = sum(turn.seconds for turn in turns)
            kind = "compiled" if compiled else "plain"
            console.print(f"{preset}, {precision}, {kind}: {recipe.batch * steps / seconds:.1f} images/s")


if __name__ == "__main__":
    main()

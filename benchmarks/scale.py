"""A petapixel on paper: what 2^25 x 2^25 px would take. Prints the tables of docs/scale.md.

python benchmarks/scale.py                     # the calculation, from the layers and the figures below
python benchmarks/scale.py --measure 2048      # first measures the compressed size of the shipped model's chunks
"""

import os
import time
from dataclasses import dataclass

import click

from infgen.geometry import Region
from infgen.model.config import GeneratorConfig, preset
from infgen.rendering.cluster import LEVEL_CHUNKS
from infgen.rendering.cost import tile_flops
from infgen.rendering.plan import Plan, make_plan
from infgen.sinks import pyramid
from infgen.sinks.zarr import chunks

SIDE_PX = 2**25
TILE_PX = 1061  # asked for: larger than by default, since nobody waits for the first tile of a petapixel
# Of 4096 x 4096 px of the shipped model, on one core of an Intel Xeon server in a shared virtual machine (--measure 4096).
MEASURED_BYTES_PER_PX = 1.816  # of zstd chunks with their checksums
MEASURED_ENCODING_SECONDS_PER_PX = 0.88 / 4096**2  # on one core
H200_PEAK_FLOPS = 989e12  # dense bf16, of NVIDIA's data sheet: a peak that no program reaches
EFFICIENCIES = (0.3, 0.5)  # assumed shares of that peak; nothing was measured on a GPU
MEMORY_BYTES = 6 * 2**30  # for a batch of tiles: the default of INFGEN_TILE_MEMORY_MB
GPUS = 1000  # an example
TASK_SECONDS = 1e-3  # of one dask scheduler for one task; its documentation says 0.2 to 1 ms
SHARD_CHUNKS = 32 * 32
# Example prices in US dollars, of the kind that object stores publish. They change: put your own here.
PUT_PRICE, GET_PRICE = 0.005 / 1000, 0.0004 / 1000
GB_MONTH_PRICE = 0.02
GPU_HOUR_PRICE = 3.0


class Counter:
    """Blobs that only counts bytes."""

    location = "nowhere"

    def __init__(self) -> None:
        self.bytes = 0

    def put(self, key: str, data: bytes) -> None:
        """Count ``data``."""
        self.bytes += len(data)


@dataclass(frozen=True)
class Model:
    """A model and its plan for the whole picture."""

    name: str
    config: GeneratorConfig
    plan: Plan

    @property
    def flops(self) -> int:
        """Floating-point operations of the picture."""
        return tile_flops(self.config, self.plan.cells) * self.plan.tile_count

    def gpu_hours(self, efficiency: float) -> float:
        """Hours of one H200 at a share of its peak."""
        return self.flops / (H200_PEAK_FLOPS * efficiency) / 3600


def plan_for(name: str) -> Model:
    """The plan that infgen would make, in bf16."""
    os.environ["INFGEN_MAX_PIXELS"] = str(SIDE_PX**2)
    region = Region(-SIDE_PX // 2, -SIDE_PX // 2, SIDE_PX, SIDE_PX)
    config = preset(name)
    return Model(name, config, make_plan(region, config, memory=MEMORY_BYTES, bytes_per_value=2, tile_px=TILE_PX))


def measure(side: int) -> float:
    """Bytes per px of the shipped model's chunks, for one window of ``side`` px around the horizon."""
    from infgen.rendering.render import render_tiles
    from infgen.rendering.studio import Options, open_studio
    from infgen.world.world import World

    studio = open_studio(World(seed=0), options=Options(threads=1, device="cpu"))
    plan = studio.plan(Region(0, -side // 2, side, side))
    counter, encoding = Counter(), 0.0
    for tile, pixels in render_tiles(studio.scene, plan):
        before = time.perf_counter()
        planes = pixels.transpose(2, 0, 1)
        chunks.put_chunk(counter, plan.grid, level=0, number=tile.number, planes=planes)  # type: ignore[arg-type]
        encoding += time.perf_counter() - before
    ratio = 3 * side * side / counter.bytes
    per_px = counter.bytes / side**2
    click.echo(
        f"{side} x {side} px: {counter.bytes} bytes, {per_px:.3f} per px, 1 : {ratio:.2f}; {encoding:.2f} s to encode"
    )
    return per_px


def data_table(model: Model, bytes_per_px: float) -> list[tuple[str, str]]:
    """Tiles, bytes and requests."""
    grid = model.plan.grid
    levels = pyramid.levels(grid)
    objects = [one.count for one in levels]
    pixels = sum(one.width * one.height for one in levels)
    puts = sum(objects)
    gets = sum(4 * count for count in objects[1:])
    size = pixels * bytes_per_px
    return [
        ("pixels", f"{SIDE_PX**2:.3e}"),
        ("tiles, each one chunk", f"{grid.count:.3e} of {grid.step_x} x {grid.step_y} px"),
        ("chunk, uncompressed", f"{3 * grid.step_x * grid.step_y / 1e6:.2f} MB"),
        ("levels", f"{len(levels)}"),
        ("bytes of the picture, uncompressed", f"{3 * SIDE_PX**2 / 1e15:.2f} PB"),
        ("with all levels, uncompressed", f"{3 * pixels / 1e15:.2f} PB"),
        ("with all levels, compressed as measured", f"{size / 1e15:.2f} PB"),
        ("objects written (PUT)", f"{puts:.3e}"),
        ("objects read for the levels (GET)", f"{gets:.3e}"),
        (f"objects, if {SHARD_CHUNKS} chunks shared one", f"{puts / SHARD_CHUNKS:.3e}"),
        ("requests at the example prices", f"${puts * PUT_PRICE + gets * GET_PRICE:,.0f}"),
        ("storage at the example price, a month", f"${size / 1e9 * GB_MONTH_PRICE:,.0f}"),
        ("to check every chunk when resuming (GET)", f"{objects[0]:.3e}, ${objects[0] * GET_PRICE:,.0f}"),
        ("to list every chunk, 1,000 names a request", f"{objects[0] / 1000:.3e}"),
    ]


def compute_table(model: Model) -> list[tuple[str, str]]:
    """Operations, hours, and how many GPUs one scheduler feeds."""
    tile_flop = tile_flops(model.config, model.plan.cells)
    rows = [
        ("tile", "{} x {} px".format(*model.plan.tile_px)),
        ("per pixel", f"{model.flops / SIDE_PX**2 / 1e6:.2f} MFLOP"),
        ("in all", f"{model.flops:.2e} FLOP"),
    ]
    for share in EFFICIENCIES:
        hours = model.gpu_hours(share)
        rate = H200_PEAK_FLOPS * share / tile_flop
        cores = rate * model.plan.grid.step_x * model.plan.grid.step_y * MEASURED_ENCODING_SECONDS_PER_PX
        at = f"at {share:.0%} of the peak"
        rows.append((at, f"{hours:,.0f} GPU hours, {hours / GPUS:,.1f} hours of {GPUS:,} GPUs"))
        rows.append((f"{at}, at the example price", f"${hours * GPU_HOUR_PRICE:,.0f}"))
        rows.append((f"{at}, tiles a second of one GPU", f"{rate:,.1f}"))
        rows.append((f"{at}, cores that encode for one GPU", f"{cores:,.1f}"))
        rows.append((f"{at}, PUT a second of {GPUS:,} GPUs", f"{GPUS * rate * 4 / 3:,.0f}"))
        rows.append((f"{at}, GPUs that one scheduler feeds with batches of 1", f"{1 / TASK_SECONDS / rate:,.1f}"))
    first, *smaller = (one.count for one in pyramid.levels(model.plan.grid))
    tasks = first + sum(smaller) // LEVEL_CHUNKS
    rows.append(("tasks with batches of 1, levels included", f"{tasks:.2e}"))
    rows.append(("hours of one scheduler for them", f"{tasks * TASK_SECONDS / 3600:,.0f}"))
    return rows


def show(title: str, rows: list[tuple[str, str]]) -> None:
    """One Markdown table."""
    click.echo(f"\n| {title} | |\n|---|---|")
    for name, value in rows:
        click.echo(f"| {name} | {value} |")


@click.command()
@click.option("--measure", "side", type=int, help="Side in px of a window of the shipped model to draw and encode.")
def main(side: int | None) -> None:
    """Print the tables."""
    bytes_per_px = MEASURED_BYTES_PER_PX if side is None else measure(side)
    full, shipped = plan_for("scenery-101"), plan_for("scenery-101-small")
    show("data", data_table(full, bytes_per_px))
    for model in (full, shipped):
        show(f"`{model.name}` in bf16", compute_table(model))


if __name__ == "__main__":
    main()

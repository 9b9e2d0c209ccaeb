"""Does the cost of a tile grow with the styles and centres of the whole layout, or only with those that reach it?

    python -m benchmarks.styles                        # the shipped model, 2048 x 2048 px
    python -m benchmarks.styles --rounds 32 --precision bf16

Four layouts in lockstep, tile by tile. In all of them four styles reach every tile:

- 4 centres: a ring of four round the middle of every tile, and nothing else;
- 1,000 far centres: the same, and 1,000 centres of the same styles far from the region, which draw the same pixels;
- 256 styles: the same, and a far centre for each of 252 more styles, which draw the same pixels;
- 1,000 near centres: 1,000 centres of the four styles all over the region, another picture.

That the first three are one picture is checked on the first tile. Then the part of a tile that making its weights takes.
"""

import itertools
import statistics

import click
import numpy as np
from rich.table import Table

from benchmarks.render import console, machine, tile_by_tile
from infgen.bench.configurations import TRANSITION_PX, model_file, ring_centres, seeded_styles
from infgen.bench.timing import Ratio, Work, lockstep
from infgen.engines.eager import DTYPES, Precision
from infgen.geometry import Region, layer_spans
from infgen.model.config import PRESETS
from infgen.rendering import tile_inputs
from infgen.rendering.plan import Plan
from infgen.rendering.render import render_batch
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.layout import MAX_STYLES, ResolvedCentre, ResolvedLayout
from infgen.world.world import World

REACHING, MANY = 4, 1000
FAR_PX, SPACING_PX = 1_000_000, 50  # from the origin to the first far centre; between far centres


def far_centres(count: int, names: list[str]) -> list[ResolvedCentre]:
    """A square lattice of ``count`` centres far from the region, with ``names`` in turn."""
    side = int(np.ceil(np.sqrt(count)))
    places = itertools.islice(itertools.product(range(side), repeat=2), count)
    return [
        ResolvedCentre(style=name, x=FAR_PX + SPACING_PX * i, y=FAR_PX + SPACING_PX * j)
        for (j, i), name in zip(places, itertools.cycle(names), strict=False)
    ]


def near_centres(region: Region, count: int) -> list[ResolvedCentre]:
    """About ``count`` centres on a lattice over ``region``, of four styles, so that equal ones are never neighbours."""
    side = round(count**0.5)
    return [
        ResolvedCentre(
            style=f"style {i % 2 + 2 * (j % 2)}",
            x=region.x + (2 * i + 1) * region.w // (2 * side),
            y=region.y + (2 * j + 1) * region.h // (2 * side),
        )
        for j, i in itertools.product(range(-(-count // side)), range(side))
    ]


def layouts(plan: Plan) -> dict[str, ResolvedLayout]:
    """The layouts that are compared, the one that the others are compared with first."""
    ring = list(ring_centres(plan, REACHING))
    four, all_styles = seeded_styles(REACHING), seeded_styles(MAX_STYLES)
    repeated, others = [s.name for s in four], [s.name for s in all_styles[REACHING:]]
    near = near_centres(plan.region, MANY)
    parts = {
        "4 centres": (four, ring),
        f"{MANY:,} far centres": (four, ring + far_centres(MANY, repeated)),
        f"{MAX_STYLES} styles": (all_styles, ring + far_centres(len(others), others)),
        f"{len(near):,} near centres": (four, near),
    }
    return {
        title: ResolvedLayout(styles=styles, centres=tuple(centres), transition=TRANSITION_PX)
        for title, (styles, centres) in parts.items()
    }


def weights_of(studio: Studio, plan: Plan) -> Work:
    """A work that makes the style weights of the next tile."""
    numbers, levels = itertools.cycle(range(plan.tile_count)), studio.generator.config.levels
    rows, columns = plan.cells

    def make() -> None:
        at = plan.tile(next(numbers)).position
        spans = layer_spans(at.cell_x, columns, levels=levels), layer_spans(at.cell_y, rows, levels=levels)
        reaching, _ = tile_inputs._styles(studio.scene.world.layout, [spans], period=None, levels=levels)
        assert len(reaching) == REACHING, reaching

    return make


def check_same_picture(studios: dict[str, Studio], plan: Plan) -> None:
    """The first three layouts draw the first tile alike, bit for bit."""
    pictures = [render_batch(studio.scene, plan, 0)[0][1] for studio in list(studios.values())[:3]]
    assert all(np.array_equal(pictures[0], picture) for picture in pictures)


def measure(studios: dict[str, Studio], plan: Plan, *, rounds: int) -> Table:
    """Whole tiles and their weights alone, all in lockstep."""
    tiles = [tile_by_tile(studio.scene, plan) for studio in studios.values()]
    weights = [weights_of(studio, plan) for studio in studios.values()]
    turns = [[t.seconds for t in own] for own in lockstep([*tiles, *weights], rounds=rounds)]
    title = f"{plan.tile_count} tiles of {plan.tile_px} px, each reached by {REACHING} styles, {rounds} rounds"
    table = Table("layout", "centres", "s per tile", "against the first", "mean", "weights, s", "share", title=title)
    for i, (name, studio) in enumerate(studios.items()):
        whole, part, ratio = turns[i], turns[len(tiles) + i], Ratio.of(turns[i], turns[0])
        layout = studio.scene.world.layout
        table.add_row(
            name,
            str(0 if layout is None else len(layout.centres)),
            f"{statistics.median(whole):.3f}",
            f"{ratio.median:.3f}",
            f"{ratio.mean:.3f}",
            f"{statistics.median(part):.4f}",
            f"{Ratio.of(part, whole).median:.3f}",
        )
    return table


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Random weights of this size instead.")
@click.option("--side", default=2048, show_default=True)
@click.option("--tile", type=int, help="Tile size in px, instead of the planner's choice.")
@click.option("--precision", type=click.Choice(list(DTYPES)), default="fp32", show_default=True)
@click.option("--threads", type=int)
@click.option("--rounds", default=16, show_default=True)
def main(
    model: str | None,
    preset: str | None,
    side: int,
    tile: int | None,
    precision: Precision,
    threads: int | None,
    rounds: int,
) -> None:
    """Measure; see the module's docstring."""
    region = Region(-(side // 2), -(side // 2), side, side)
    with model_file(model=model, preset_name=preset) as path:
        studio = open_studio(
            World(seed=0), model=path, options=Options(tile_px=tile, precision=precision, threads=threads)
        )
    plan = studio.plan(region)
    studios = {name: studio.with_world(World(seed=0, layout=layout)) for name, layout in layouts(plan).items()}
    check_same_picture(studios, plan)
    console.print(f"{path.name}, {precision}; {machine()}")
    console.print(measure(studios, plan, rounds=rounds))


if __name__ == "__main__":
    main()

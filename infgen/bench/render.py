"""Measure rendering: speed, share of the convolution's rate, cost of several styles, first tile and peak memory."""

import itertools
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from infgen.bench.bound import Convolution, largest_convolution
from infgen.bench.cold_start import measure_cold_start
from infgen.bench.configurations import Configuration, Request
from infgen.bench.timing import Ratio, Turn, Work, lockstep
from infgen.progress import Progress
from infgen.rendering.cost import tile_flops
from infgen.rendering.render import render_batch

Phase = Callable[[str, str], AbstractContextManager[Progress]]  # title, unit


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one engine, precision and number of styles.

    ``seconds``: median of whole renders. ``flops``: floating-point operations of the convolutions, including the
    overlap of tiles. ``convolution``: operations per second of the largest layer's convolution alone. ``share``: a
    tile's rate over the rate of the convolution right before and after it, as the median over tiles. ``ratio``: time
    compared with the first number of styles, tile by tile. ``first_tile`` (seconds) and ``peak_bytes`` come from a new
    process, None if there was none.
    """

    engine: str
    precision: str
    styles: int
    tiles: int
    tile_px: tuple[int, int]
    pixels: int
    flops: int
    seconds: float
    convolution: float
    share: float
    ratio: Ratio
    tile_seconds: tuple[float, ...]
    first_tile: float | None = None
    peak_bytes: int | None = None

    @property
    def pixels_per_second(self) -> float:
        """Rate in px of the region per second."""
        return self.pixels / self.seconds

    @property
    def flops_per_second(self) -> float:
        """Rate in operations of convolutions per second. Mixing styles costs time but adds no operations here."""
        return self.flops / self.seconds


def measure_renders(configurations: list[Configuration], request: Request, *, phase: Phase) -> list[Row]:
    """Measure all configurations, one row each. ``phase(title, unit)`` gives a context with a callback (done, total)."""
    rows = []
    for configuration in configurations:
        with phase(f"{configuration.engine} {configuration.precision}", "tiles") as progress:
            rows += _measure(configuration, request.repeats, progress)
    if not request.fresh:
        return rows
    with phase("new processes", "processes") as progress:
        return _add_cold_starts(rows, configurations, request, progress)


def _measure(configuration: Configuration, repeats: int, progress: Progress) -> list[Row]:
    """Measure all numbers of styles in lockstep, tile by tile, with the convolution alone between tiles."""
    plan, engine = configuration.plan, configuration.scene.engine
    convolution = largest_convolution(plan, engine.config, dtype=configuration.dtype, device=engine.device)
    convolution.run()
    works = [_tile_by_tile(configuration, styles) for styles in configuration.studios]
    turns = lockstep(works, rounds=repeats * plan.batch_count, probe=convolution.run, progress=progress)
    return [
        _row(configuration, styles, own, turns[0], convolution)
        for styles, own in zip(configuration.studios, turns, strict=True)
    ]


def _tile_by_tile(configuration: Configuration, styles: int) -> Work:
    """Return a function that computes the next tile at each call, in cycles. Warms up with one tile first."""
    scene, numbers = configuration.studios[styles].scene, itertools.cycle(range(configuration.plan.batch_count))
    render_batch(scene, configuration.plan, 0)
    return lambda: render_batch(scene, configuration.plan, next(numbers))


def _row(
    configuration: Configuration, styles: int, turns: list[Turn], first: list[Turn], convolution: Convolution
) -> Row:
    plan = configuration.plan
    flops = tile_flops(configuration.studios[styles].scene.engine.config, plan.cells) * plan.batch
    times = tuple(t.seconds for t in turns)
    renders = [sum(times[i : i + plan.batch_count]) for i in range(0, len(times), plan.batch_count)]
    rates = [convolution.flops * (1 / t.before + 1 / t.after) / 2 for t in turns]
    return Row(
        engine=configuration.engine,
        precision=configuration.precision,
        styles=styles,
        tiles=plan.tile_count,
        tile_px=plan.tile_px,
        pixels=plan.region.pixels,
        flops=flops * plan.batch_count,
        seconds=statistics.median(renders),
        convolution=statistics.median(rates),
        share=statistics.median(flops / t / rate for t, rate in zip(times, rates, strict=True)),
        ratio=Ratio.of(times, [t.seconds for t in first]),
        tile_seconds=times,
    )


def _add_cold_starts(
    rows: list[Row], configurations: list[Configuration], request: Request, progress: Progress
) -> list[Row]:
    """Complete ``rows`` with the first tile and the peak memory of one new process each."""
    rendered = [(one.options, studio.scene.world) for one in configurations for studio in one.studios.values()]
    complete: list[Row] = []
    for row, (options, world) in zip(rows, rendered, strict=True):
        found = measure_cold_start(world, request.region, model=request.model, options=options)
        complete.append(replace(row, first_tile=found.until_first_tile, peak_bytes=found.peak_bytes))
        progress(len(complete), len(rows))
    return complete

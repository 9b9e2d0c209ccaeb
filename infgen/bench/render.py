"""How fast a picture is drawn: speed, share of the convolution's rate, cost of several styles, first tile and memory."""

import itertools
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from infgen.bench.bound import Convolution, largest_convolution
from infgen.bench.fresh import render_fresh
from infgen.bench.subjects import Request, Subject
from infgen.bench.timing import Progress, Ratio, Turn, Work, lockstep
from infgen.rendering.cost import tile_flops
from infgen.rendering.render import render_batch

Phase = Callable[[str, str], AbstractContextManager[Progress]]  # title, unit


@dataclass(frozen=True)
class Row:
    """One engine, precision and number of styles.

    ``seconds``: the median of whole renders. ``flops``: floating-point operations of its convolutions, tiles' overlaps
    included. ``convolution``: operations per second of the largest layer's convolution alone; ``share``: the median over
    tiles of a tile's rate against that of the convolution right before and after it. ``ratio``: to the first number of
    styles, tile by tile. ``first_tile`` (seconds) and ``peak_bytes`` of a process of its own, None where there was none.
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
        """Pixels of the region per second."""
        return self.pixels / self.seconds

    @property
    def flops_per_second(self) -> float:
        """Operations of convolutions per second; what mixing styles adds is not counted as work done."""
        return self.flops / self.seconds


def measure_renders(subjects: list[Subject], request: Request, *, phase: Phase) -> list[Row]:
    """The rows of all subjects; ``phase(title, unit)`` gives a context with a callback for (done, in all)."""
    rows = []
    for subject in subjects:
        with phase(f"{subject.engine} {subject.precision}", "tiles") as progress:
            rows += _measure(subject, request.repeats, progress)
    if not request.fresh:
        return rows
    with phase("processes of their own", "processes") as progress:
        return _with_fresh(rows, subjects, request, progress)


def _measure(subject: Subject, repeats: int, progress: Progress) -> list[Row]:
    """All numbers of styles in lockstep: tile by tile, the convolution alone between them."""
    plan, engine = subject.plan, subject.scene.engine
    convolution = largest_convolution(plan, engine.config, dtype=subject.dtype, device=engine.device)
    convolution.run()
    works = [_tile_by_tile(subject, styles) for styles in subject.studios]
    turns = lockstep(works, rounds=repeats * plan.batch_count, probe=convolution.run, progress=progress)
    return [
        _row(subject, styles, own, turns[0], convolution) for styles, own in zip(subject.studios, turns, strict=True)
    ]


def _tile_by_tile(subject: Subject, styles: int) -> Work:
    """A work that computes the next tile at each call, round and round, after one that warms up."""
    scene, numbers = subject.studios[styles].scene, itertools.cycle(range(subject.plan.batch_count))
    render_batch(scene, subject.plan, 0)
    return lambda: render_batch(scene, subject.plan, next(numbers))


def _row(subject: Subject, styles: int, turns: list[Turn], first: list[Turn], convolution: Convolution) -> Row:
    plan = subject.plan
    flops = tile_flops(subject.studios[styles].scene.engine.config, plan.cells) * plan.batch
    times = tuple(t.seconds for t in turns)
    renders = [sum(times[i : i + plan.batch_count]) for i in range(0, len(times), plan.batch_count)]
    rates = [convolution.flops * (1 / t.before + 1 / t.after) / 2 for t in turns]
    return Row(
        engine=subject.engine,
        precision=subject.precision,
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


def _with_fresh(rows: list[Row], subjects: list[Subject], request: Request, progress: Progress) -> list[Row]:
    """``rows`` with what processes of their own say."""
    drawn = [(subject.options, studio.scene.world) for subject in subjects for studio in subject.studios.values()]
    complete: list[Row] = []
    for row, (options, world) in zip(rows, drawn, strict=True):
        found = render_fresh(world, request.region, model=request.model, options=options)
        complete.append(replace(row, first_tile=found.until_first_tile, peak_bytes=found.peak_bytes))
        progress(len(complete), len(rows))
    return complete

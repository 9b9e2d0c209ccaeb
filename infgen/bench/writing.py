"""Measure the time that writing a file adds to computing its pixels."""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from infgen.bench.configurations import Configuration, Request, drain
from infgen.bench.render import Phase
from infgen.bench.timing import Ratio, order_round, seconds_of
from infgen.geometry import Region
from infgen.rendering.job import Job, Output, prepare
from infgen.rendering.studio import Studio
from infgen.sinks import FORMATS, check_picture

EXTENSIONS = {f.key: f.extensions[0] for f in FORMATS}
WARM_UP = Region(0, 0, 64, 64)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Measurements of one format: median seconds of whole renders without (``computing``) and with a file (``writing``).

    ``ratio``: ``writing`` over ``computing``, in pairs of consecutive renders.
    """

    engine: str
    precision: str
    styles: int
    file_format: str
    computing: float
    writing: float
    ratio: Ratio


def check_writing(configurations: list[Configuration], request: Request) -> None:
    """Raise InputError if one of the formats cannot be written: size, disk or a missing library."""
    with TemporaryDirectory() as folder:
        for key in request.write:
            for configuration in configurations:
                check_picture(Path(folder) / f"picture{EXTENSIONS[key]}", configuration.plan.grid, file_format=key)


def measure_writing(configurations: list[Configuration], request: Request, *, phase: Phase) -> list[Written]:
    """Measure every format with every configuration, in the world with the first number of styles.

    Files go to temporary folders.
    """
    pairs = [(configuration, key) for configuration in configurations for key in request.write]
    if not pairs:
        return []
    steps = itertools.count(1)
    with phase("writing", "renders") as progress:
        return [
            _measure(configuration, request, key, lambda: progress(next(steps), 2 * request.repeats * len(pairs)))
            for configuration, key in pairs
        ]


def _measure(configuration: Configuration, request: Request, key: str, step: Callable[[], None]) -> Written:
    """Alternate whole renders with and without a file: a file holds no less than a whole picture."""
    styles = request.styles[0]
    studio = configuration.studios[styles]
    _seconds_of_writing(studio, WARM_UP, key)  # loads the image library
    computing, writing = [], []
    for turn in range(request.repeats):
        for part in order_round(2, turn):
            if part == 0:
                computing.append(seconds_of(lambda: drain(studio, configuration.plan)))
            else:
                writing.append(_seconds_of_writing(studio, request.region, key))
            step()
    return Written(
        engine=configuration.engine,
        precision=configuration.precision,
        styles=styles,
        file_format=key,
        computing=statistics.median(computing),
        writing=statistics.median(writing),
        ratio=Ratio.of(writing, computing),
    )


def _seconds_of_writing(studio: Studio, region: Region, key: str) -> float:
    """Time one render into a file, without the checks and estimates before it."""
    with TemporaryDirectory() as folder:
        job: Job = prepare(studio, region, Output(str(Path(folder) / f"picture{EXTENSIONS[key]}"), file_format=key))
        return seconds_of(job.run)

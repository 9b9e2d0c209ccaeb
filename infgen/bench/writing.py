"""What writing a file adds to drawing its pixels."""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from infgen.bench.render import Phase
from infgen.bench.subjects import Request, Subject, drain
from infgen.bench.timing import Ratio, seconds_of, turned
from infgen.rendering.job import Job, Output, Studio, prepare
from infgen.rendering.plan import Region
from infgen.sinks import FORMATS, check_picture

EXTENSIONS = {f.key: f.extensions[0] for f in FORMATS}
WARM_UP = Region(0, 0, 64, 64)


@dataclass(frozen=True)
class Written:
    """One format: median seconds of whole renders, thrown away (``computing``) and written to a file (``writing``).

    ``ratio``: of the second to the first, in pairs one after the other.
    """

    engine: str
    precision: str
    styles: int
    file_format: str
    computing: float
    writing: float
    ratio: Ratio


def check_writing(subjects: list[Subject], request: Request) -> None:
    """Raise InputError where the picture cannot be written in one of the formats: its size, the disk, a missing library."""
    with TemporaryDirectory() as folder:
        for key in request.write:
            for subject in subjects:
                check_picture(Path(folder) / f"picture{EXTENSIONS[key]}", subject.plan.grid, file_format=key)


def measure_writing(subjects: list[Subject], request: Request, *, phase: Phase) -> list[Written]:
    """Every format with every subject, in the world of the first number of styles, into temporary folders."""
    pairs = [(subject, key) for subject in subjects for key in request.write]
    if not pairs:
        return []
    steps = itertools.count(1)
    with phase("writing", "renders") as progress:
        return [
            _measure(subject, request, key, lambda: progress(next(steps), 2 * request.repeats * len(pairs)))
            for subject, key in pairs
        ]


def _measure(subject: Subject, request: Request, key: str, step: Callable[[], None]) -> Written:
    """Whole renders alternate: the smallest part that can be written."""
    styles = request.styles[0]
    studio = subject.studios[styles]
    _seconds_of_writing(studio, WARM_UP, key)  # loads the image library
    computing, writing = [], []
    for turn in range(request.repeats):
        for part in turned(2, turn):
            if part == 0:
                computing.append(seconds_of(lambda: drain(studio, subject.plan)))
            else:
                writing.append(_seconds_of_writing(studio, request.region, key))
            step()
    return Written(
        engine=subject.engine,
        precision=subject.precision,
        styles=styles,
        file_format=key,
        computing=statistics.median(computing),
        writing=statistics.median(writing),
        ratio=Ratio.of(writing, computing),
    )


def _seconds_of_writing(studio: Studio, region: Region, key: str) -> float:
    """Of one render into a file, checks and estimates before it not counted."""
    with TemporaryDirectory() as folder:
        job: Job = prepare(studio, region, Output(str(Path(folder) / f"picture{EXTENSIONS[key]}"), file_format=key))
        return seconds_of(job.run)

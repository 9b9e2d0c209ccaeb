"""Show progress: a live bar with rate and remaining time on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from infgen.progress import Progress as ProgressCallback
from infgen.progress import silent

PLAIN_LINE_SECONDS = 15.0


class _Rate(ProgressColumn):
    """A column with the rate in units per second."""

    def __init__(self, unit: str, scale: float) -> None:
        super().__init__()
        self._unit, self._scale = unit, scale

    def render(self, task: Task) -> Text:
        """Format the current rate of ``task``, or that of the whole task once it is finished."""
        speed = task.completed / task.elapsed if task.finished and task.elapsed else task.speed
        rate = "" if not speed else f"{speed * self._scale:.3g} {self._unit}/s"
        return Text(rate, style="progress.data.speed")


@contextmanager
def progress(title: str, *, unit: str, scale: float = 1.0, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Yield a callback ``advance(done, total)`` that shows the progress; nothing if ``quiet``.

    ``scale`` converts the counts to ``unit``, such as 1e-6 for megapixels.
    """
    console = Console(stderr=True)
    if quiet:
        yield silent
    elif console.is_terminal and not console.is_dumb_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            _Rate(unit, scale),
        )
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as live:
            task = live.add_task(title, total=None)
            yield lambda done, total: live.update(task, completed=done, total=total)
    else:
        yield _print_lines(title, unit, scale)


def report_lines(*, quiet: bool) -> Callable[[str], None]:
    """Return a callback that prints a line to standard error; nothing if ``quiet``."""
    return (lambda line: None) if quiet else partial(click.echo, err=True)


def _print_lines(title: str, unit: str, scale: float) -> ProgressCallback:
    start = last = time.monotonic()
    finished = False

    def advance(done: int, total: int) -> None:
        nonlocal last, finished
        now = time.monotonic()
        if finished or (now - last < PLAIN_LINE_SECONDS and done < total):
            return
        last, finished = now, done >= total
        rate = done / max(now - start, 1e-9)
        left = (total - done) / max(rate, 1e-9)
        click.echo(f"{title}: {100 * done / total:.0f} %, {rate * scale:.3g} {unit}/s, {left:.0f} s left", err=True)

    return advance

"""Measure wall times that stay comparable when the machine's speed changes within seconds."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infgen.progress import Progress, silent

Work = Callable[[], object]


@dataclass(frozen=True)
class Turn:
    """Seconds of one call, and of the probe right before and after it."""

    seconds: float
    before: float
    after: float


def seconds_of(work: Work, *, repeats: int = 1) -> float:
    """Return the shortest wall time of ``work`` over ``repeats`` runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def order_round(count: int, turn: int) -> list[int]:
    """Order 0 to ``count`` - 1 for round ``turn``: the start rotates every second round, every other round is reversed.

    Every number comes first and last equally often, and follows every other number.
    """
    order = [(i + turn // 2) % count for i in range(count)]
    return order[::-1] if turn % 2 else order


def lockstep(
    works: Sequence[Work],
    *,
    rounds: int,
    probe: Work = lambda: None,
    progress: Progress = silent,
) -> list[list[Turn]]:
    """Time every work ``rounds`` times. Each round calls each work once, in the order of ``order_round``.

    ``probe`` runs between any two calls. The speed of a shared machine changes within seconds. In lockstep it changes
    for all works alike, so ratios hold. Returns the turns of each work, round by round. ``progress(calls done,
    total)``.
    """
    turns: list[list[Turn]] = [[] for _ in works]
    before, done = seconds_of(probe), 0
    for turn in range(rounds):
        for i in order_round(len(works), turn):
            seconds, after = seconds_of(works[i]), seconds_of(probe)
            turns[i].append(Turn(seconds, before, after))
            before, done = after, done + 1
            progress(done, rounds * len(works))
    return turns


@dataclass(frozen=True)
class Ratio:
    """Time of one work over the time of another: the ``median`` over rounds, and the ratio of the ``mean`` times."""

    median: float
    mean: float

    @classmethod
    def of(cls, times: Sequence[float], against: Sequence[float]) -> "Ratio":
        """Compare the seconds of two works in the same rounds."""
        pairs = [a / b for a, b in zip(times, against, strict=True)]
        return cls(statistics.median(pairs), sum(times) / sum(against))

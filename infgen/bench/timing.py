"""Wall times that can be compared although the machine's speed changes within seconds."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Work = Callable[[], object]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Turn:
    """Seconds of one call, and of the probe right before and right after it."""

    seconds: float
    before: float
    after: float


def seconds_of(work: Work, *, repeats: int = 1) -> float:
    """Shortest wall time of ``work`` over ``repeats`` runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def turned(count: int, turn: int) -> list[int]:
    """0 to ``count`` - 1 in the order of round ``turn``: begun elsewhere every second round, backwards in between.

    So everything comes first and last equally often, and after everything else.
    """
    order = [(i + turn // 2) % count for i in range(count)]
    return order[::-1] if turn % 2 else order


def lockstep(
    works: Sequence[Work],
    *,
    rounds: int,
    probe: Work = lambda: None,
    progress: Progress = lambda done, total: None,
) -> list[list[Turn]]:
    """Time every work ``rounds`` times: each round calls each of them once, in turned order, with the probe between calls.

    A shared machine's speed changes within seconds; in lockstep it changes for all works alike, so that ratios hold.
    Gives the turns of each work, round by round. ``progress(calls done, calls in all)``.
    """
    turns: list[list[Turn]] = [[] for _ in works]
    before, done = seconds_of(probe), 0
    for turn in range(rounds):
        for i in turned(len(works), turn):
            seconds, after = seconds_of(works[i]), seconds_of(probe)
            turns[i].append(Turn(seconds, before, after))
            before, done = after, done + 1
            progress(done, rounds * len(works))
    return turns


@dataclass(frozen=True)
class Ratio:
    """How long one work takes against another: ``median`` of the ratios round by round, and the ratio of the ``mean`` times."""

    median: float
    mean: float

    @classmethod
    def of(cls, times: Sequence[float], against: Sequence[float]) -> "Ratio":
        """Of the seconds of two works in the same rounds."""
        pairs = [a / b for a, b in zip(times, against, strict=True)]
        return cls(statistics.median(pairs), sum(times) / sum(against))

"""Compute in a bounded pool of threads: fetch and decode pictures while others are in use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_THREADS = 8  # more gain nothing: decoding is limited by the cores


def thread_count() -> int:
    """Number of threads for fetching and decoding: the cores available to this process, at most ``MAX_THREADS``."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # missing on some systems
        cores = os.cpu_count() or 1
    return min(MAX_THREADS, cores)


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, with a bounded number of results computed ahead by threads.

    An exception of ``function`` is raised in its place in the order. Queued work is cancelled then.
    """
    threads = thread_count()
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="infgen-prefetch") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

"""Wait for other threads and processes."""

import time
from collections.abc import Callable, Iterable
from subprocess import Popen
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS = 120  # far more than anything takes on a loaded machine: it only ends what hangs


def until(found: Callable[[], T | None], *, alive: Iterable["Popen[Any]"] = (), pause: float = 0.02) -> T:
    """The first true value of ``found()``. Fails when it does not come, or when a process of ``alive`` has ended before."""
    end = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < end, "it never came"
        assert [process.args for process in alive if process.poll() is not None] == []
        time.sleep(pause)
    return value

"""Define progress callbacks of long operations, and callbacks that report nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int], None]  # (units done, units in total)
Phase = Callable[[str], AbstractContextManager[Progress]]  # title of a phase -> a context with its progress callback


def silent(done: int, total: int) -> None:
    """Report nothing."""


def silent_phase(title: str) -> AbstractContextManager[Progress]:
    """Open a phase that reports nothing."""
    return nullcontext(silent)

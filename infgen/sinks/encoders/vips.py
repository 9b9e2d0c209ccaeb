"""The one place that loads libvips, and only when a picture is written or read."""

import functools
from typing import Any

from infgen.errors import MissingExtraError


@functools.cache
def load() -> Any:
    """The pyvips module, set up once for the process: one thread, and no cache, for every picture is read once.

    Nothing is computed here that more threads would make faster, and libvips keeps rows for each of them: a PNG 50,000 px
    wide takes 121 MiB with one and 583 MiB with 64.

    Raises MissingExtraError where the library cannot be loaded.
    """
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: pyvips without the libvips library
        raise MissingExtraError(
            f"libvips cannot be loaded ({one_line(error)}); run: pip install 'pyvips[binary]'"
        ) from error
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)
    return pyvips


def one_line(error: BaseException) -> str:
    """The message of ``error`` without line ends: libvips joins several."""
    return " ".join(str(error).split())

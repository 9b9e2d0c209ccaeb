"""Load libvips, and only when a picture is written or read."""

import functools
from typing import Any

from infgen.errors import MissingExtraError, one_line


@functools.cache
def load() -> Any:
    """Import pyvips and set it up once for the process: one thread, and no cache, because every picture is read once.

    More threads would not be faster here, and libvips keeps rows for each of them. A PNG 50,000 px wide takes 121 MiB with
    one thread and 583 MiB with 64.

    Raises MissingExtraError if the library cannot be loaded.
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

"""Undo what ``configure_logging`` changes in the process of the tests."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from infgen.serve.logs import ACCESS

NAMES = (ACCESS, "infgen")


@contextmanager
def restored_logging() -> Iterator[None]:
    """Restore handlers and levels at the end."""
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in NAMES]
    handlers, level, levels = root.handlers[:], root.level, [logger.level for logger in loggers]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)

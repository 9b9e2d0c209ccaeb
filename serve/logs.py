"""Write log lines with time and level, as text or JSON."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["text", "json"]
ACCESS = "infgen.serve.access"  # logger of one line a request
FIELDS = "fields"  # attribute of records with the values of a line of JSON
SECONDS = 60.0  # between equal lines of a Throttle


class Throttle:
    """Logs the same message at most once per ``SECONDS``."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._last: dict[str, float] = {}

    def warning(self, message: str, *values: object) -> None:
        """Log a warning, unless the last one with this ``message`` was logged a short time ago."""
        now = time.monotonic()
        if now - self._last.get(message, -SECONDS) >= SECONDS:
            self._last[message] = now
            self._logger.warning(message, *values)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, FIELDS, None)
        if isinstance(fields, Mapping):
            values |= fields
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in record.getMessage())  # one line, no escapes
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def configure_logging(form: Format, *, access: bool) -> None:
    """Log to stderr: notes of infgen, warnings of other packages, and one line a request if ``access``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("infgen").setLevel(logging.INFO)
    logging.getLogger(ACCESS).setLevel(logging.INFO if access else logging.WARNING)

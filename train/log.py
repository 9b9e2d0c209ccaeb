"""The log of a training run: one JSON record per step."""

import json
import os
from collections.abc import Mapping
from typing import IO, Any


class Log:
    """A JSON lines file with one record per step."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record. It is on disk after the next ``sync`` at the latest."""
        self._file.write(json.dumps(record) + "\n")

    def sync(self) -> None:
        """Write all records to disk, so that they survive a crash."""
        self._file.flush()
        os.fsync(self._file.fileno())


def parse_step(line: str) -> int:
    """Parse the step of a log record; 0 for an invalid line, since a crash can leave a part of one."""
    try:
        record = json.loads(line) if line.endswith("\n") else None
    except (ValueError, RecursionError):
        return 0
    step = record.get("step") if isinstance(record, dict) else None
    return step if type(step) is int else 0

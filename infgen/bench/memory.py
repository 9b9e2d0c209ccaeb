"""How much memory a process has held. Imports nothing large: small processes can ask, too."""

import resource
import sys
from pathlib import Path


def first_value(path: Path, key: str) -> str | None:
    """What follows the first ``key:`` in the text file ``path``; None where there is no such file or line."""
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def peak_resident_bytes() -> int:
    """The most memory that this process has held so far, in bytes.

    Linux: the kernel's own mark (VmHWM). What ``getrusage`` says there begins at the size of the parent process, from
    which a child is split off, and a benchmark's parent is large.
    """
    mark = first_value(Path("/proc/self/status"), "VmHWM")
    if mark:
        return int(mark.split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

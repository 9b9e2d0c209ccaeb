"""Peak memory of a process. Imports nothing large, so small processes can use it, too."""

import sys
from pathlib import Path


def first_value(path: Path, key: str) -> str | None:
    """Return the text after the first ``key:`` in the text file ``path``, or None without such a file or line."""
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def peak_resident_bytes() -> int:
    """Return the peak memory of this process so far, in bytes.

    Linux: the kernel's own count (VmHWM). ``getrusage`` would start at the size of the parent process, because a child
    begins as a copy of it, and a benchmark's parent is large.
    """
    mark = first_value(Path("/proc/self/status"), "VmHWM")
    if mark:
        return int(mark.split()[0]) * 1024
    import resource  # missing on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

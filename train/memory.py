"""Keep the memory of a training step for the next one."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's mallopt(3)
_NEVER_BYTES, _TOP_PAD_BYTES = 2**31 - 1, 2**26


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees. Returns whether the C library can: only glibc can.

    By default glibc returns large blocks to the system, and every step waits for the same pages to be cleared again.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER_BYTES), (_TOP_PAD, _TOP_PAD_BYTES))
    return all(library.mallopt(name, value) for name, value in settings)

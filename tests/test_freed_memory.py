"""Memory that a process keeps for its next step or tile."""

import subprocess
import sys

import pytest

BLOCK_BYTES = 2**26
# Ask the C library itself: page faults, which users pay for, also depend on how the system backs memory.
SCRIPT = """
import ctypes
import torch
from infgen.memory import keep_freed_memory

class Statistics(ctypes.Structure):  # of mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Statistics
if KEEP:
    assert keep_freed_memory()
torch.zeros(2**24)
statistics = library.mallinfo2()
print(statistics.fordblks)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is the C library of Linux")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_stays_with_the_process_only_when_asked(keep: bool) -> None:
    script = f"KEEP = {keep}\n{SCRIPT}"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (int(found.stdout) >= BLOCK_BYTES) == keep

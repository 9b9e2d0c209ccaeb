"""Memory that a process keeps for its next step or tile."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from infgen.memory import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_freed_memory()
first = page_faults()
print(first, min(page_faults() for _ in range(5)))  # the system may take pages back under a busy process
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is the C library of Linux")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    first, second = map(int, found.stdout.split())
    assert second < first / 10

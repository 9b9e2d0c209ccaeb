"""Settings that a process makes before PyTorch starts. Imports nothing large."""

import os

_LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch reads this variable at its first allocation


def use_large_pages() -> None:
    """Let PyTorch use huge pages, which speeds up allocating large tiles. A value in the environment has priority."""
    os.environ.setdefault(*_LARGE_PAGES)

"""Settings that a process makes before PyTorch starts. Imports nothing large."""

import gc
import importlib
import os
import sys
from types import ModuleType

_LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch reads this variable at its first allocation


def use_large_pages() -> None:
    """Let PyTorch use huge pages, which speeds up allocating large tiles. A value in the environment has priority."""
    os.environ.setdefault(*_LARGE_PAGES)


def import_for_good(name: str) -> ModuleType:
    """Import module ``name`` without garbage collection, and exempt from it what this process has imported.

    Modules live as long as the process. Searching their objects for garbage takes a third of the time of the imports.
    """
    if name in sys.modules or not gc.isenabled():
        return importlib.import_module(name)
    gc.disable()
    try:
        module = importlib.import_module(name)
        gc.freeze()
    finally:
        gc.enable()
    return module

"""The folder for files that infgen computes once and keeps: ``INFGEN_CACHE_DIR``, else "infgen" in the user's cache.

Files in it are named by a hash of everything that they depend on. They may be deleted at any time.
"""

import os
from pathlib import Path

CACHE_VARIABLE = "INFGEN_CACHE_DIR"


def cache_folder() -> Path:
    """Return the folder: ``XDG_CACHE_HOME`` moves the user's cache from ``~/.cache``. The folder need not exist."""
    if named := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "infgen"

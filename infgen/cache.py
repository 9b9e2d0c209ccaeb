"""The folder for files that infgen computes once and keeps: ``INFGEN_CACHE_DIR``, else ``~/.cache/infgen``.

Files in it are named by a hash of everything that they depend on. They may be deleted at any time.
"""

import os
from pathlib import Path

CACHE_VARIABLE = "INFGEN_CACHE_DIR"


def cache_folder() -> Path:
    """Return the folder. It need not exist."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    return Path(named).expanduser() if named else Path.home() / ".cache" / "infgen"

"""Files that take long to make and that tests of several processes only read: each is made once a test run."""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

SHARED = "INFGEN_TEST_FILES"  # names the folder that all processes of a run share; tests/conftest.py makes it


@cache
def _folder() -> Path:
    if SHARED in os.environ:
        return Path(os.environ[SHARED])
    path = Path(tempfile.mkdtemp(prefix="infgen-files-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The file or folder ``name`` that ``make`` writes, in whichever process of the run asks first; others wait for it."""
    path = _folder() / name
    with (_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=_folder()) as unfinished:
                make(Path(unfinished) / name)
                os.rename(Path(unfinished) / name, path)
    return path

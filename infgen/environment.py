"""Describe the environment of a process: versions, devices, threads, installed extras."""

import os
import platform
import re
from importlib import metadata
from typing import Any

from infgen.version import __version__

_PACKAGES = ("torch", "numpy", "pillow", "pyvips", "safetensors", "pydantic", "click", "rich")
_NAME, _EXTRA = re.compile(r"[\w.-]+"), re.compile(r"""extra == ['"]([\w.-]+)""")  # of a requirement in the metadata


def describe_environment() -> dict[str, Any]:
    """Return versions, devices, threads, extras and set variables. It names no files and no users.

    >>> from infgen.environment import describe_environment
    >>> sorted(describe_environment())[:3]
    ['cpu', 'devices', 'extras']
    """
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "infgen": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "devices": ["cpu", *gpus],
        "cuda": torch.version.cuda or "none",
        "packages": [f"{name} {metadata.version(name)}" for name in _PACKAGES if _is_installed(name)],
        "extras": _installed_extras(),
        "variables": sorted(name for name in os.environ if name.startswith("INFGEN_")),  # names only: one is a token
    }


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _installed_extras() -> list[str]:
    """Return the extras of which all packages are installed."""
    try:
        requirements = metadata.requires("infgen") or []
    except metadata.PackageNotFoundError:
        return []
    needed: dict[str, list[str]] = {}
    for requirement in requirements:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if name and extra:
            needed.setdefault(extra[1], []).append(name[0])
    return sorted(extra for extra, names in needed.items() if all(map(_is_installed, names)))

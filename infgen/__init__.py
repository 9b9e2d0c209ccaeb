"""Generate images without edges. Public names are imported on first use, so that ``import infgen`` is fast."""

from typing import TYPE_CHECKING, Any

from infgen.errors import InfgenError, InputError
from infgen.version import __version__

if TYPE_CHECKING:
    from infgen.geometry import Region
    from infgen.inversion.continuation import inbetween, outpaint, panorama
    from infgen.inversion.invert import invert
    from infgen.model.config import GeneratorConfig
    from infgen.model.generator import Generator
    from infgen.world.world import World

__all__ = [
    "Generator",
    "GeneratorConfig",
    "InfgenError",
    "InputError",
    "Region",
    "World",
    "__version__",
    "inbetween",
    "invert",
    "outpaint",
    "panorama",
]

_HOMES = {
    "Generator": "infgen.model.generator",
    "GeneratorConfig": "infgen.model.config",
    "Region": "infgen.geometry",
    "World": "infgen.world.world",
    "inbetween": "infgen.inversion.continuation",
    "invert": "infgen.inversion.invert",
    "outpaint": "infgen.inversion.continuation",
    "panorama": "infgen.inversion.continuation",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: importing PyTorch takes seconds, and ``infgen --help`` must not."""
    if name not in _HOMES:
        raise AttributeError(f"module 'infgen' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)

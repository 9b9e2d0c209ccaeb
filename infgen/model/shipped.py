"""The models in the package, by name. A model is a line of ``MODELS``, weights and a card in the folder ``assets``."""

from collections.abc import Mapping
from pathlib import Path

ASSETS = Path(__file__).parent.parent / "assets"
MODELS: Mapping[str, str] = {  # name -> what it draws
    "scenery": "landscapes with a horizon",
    "planet": "land and sea from above, as satellites see them",
    "atlas": "shaded relief of land and sea, as atlases print it",
}
DEFAULT = "scenery"


def shipped_path(name: str) -> Path:
    """Return the file of the shipped model ``name``, a name of ``MODELS``.

    >>> from infgen.model.shipped import shipped_path
    >>> shipped_path("planet").name
    'planet.safetensors'
    """
    return ASSETS / f"{name}.safetensors"


def shipped_name(path: Path) -> str | None:
    """Return the name of the shipped model in the file ``path``, or None for another file."""
    return next((name for name in MODELS if path == shipped_path(name)), None)


def names() -> str:
    """List the names for messages and help texts."""
    return ", ".join(MODELS)

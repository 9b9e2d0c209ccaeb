"""Leave out pictures that infgen made: without DATA, training reads the folder in which other commands leave theirs."""

from dataclasses import replace
from pathlib import Path

from infgen.errors import InputError
from infgen.rendering.sheet import MARK
from infgen.sinks.provenance import read_embedded
from infgen.train.data.archives import SkippedFile
from infgen.train.data.sources import Source

_HEAD_BYTES = 2**17  # sheets have their mark there, behind a colour profile


def without_own_pictures(source: Source, folder: Path) -> Source:
    """Return ``source`` without the pictures directly in ``folder`` that infgen rendered, continued or put on a sheet."""
    own = {p.name for p in source.pictures if "/" not in p.name and _is_own(folder / p.name)}
    skipped = [SkippedFile(p.label, "infgen made it") for p in source.pictures if p.name in own]
    kept = [p for p in source.pictures if p.name not in own]
    return replace(source, pictures=kept, skipped=[*source.skipped, *skipped])


def _is_own(path: Path) -> bool:
    if path.with_name(f"{path.stem}.world.json").exists():  # continued photographs have a world
        return True
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(_HEAD_BYTES) or read_embedded(path) is not None
    except (OSError, InputError):
        return False

"""The versions of OME-Zarr that infgen writes, and the keys of their metadata and chunks."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal


@dataclass(frozen=True)
class Version:
    """One version of OME-Zarr on its version of Zarr."""

    format_key: str  # in ``FORMATS``
    _: KW_ONLY
    ome: Literal["0.4", "0.5"]
    zarr: Literal[2, 3]
    root: str  # key of the attributes of the root group
    array: str  # name of the metadata of an array, below its level
    chunks: str  # folder of the chunks, below their level

    def chunk_folder(self, level: int) -> str:
        """Return the key of the folder that holds all chunks of ``level``."""
        return f"{level}/{self.chunks}0"

    def chunk_key(self, level: int, row: int, column: int) -> str:
        """Return the key of the chunk in ``row`` and ``column`` of ``level``."""
        return f"{self.chunk_folder(level)}/{row}/{column}"


OME_05 = Version("zarr", ome="0.5", zarr=3, root="zarr.json", array="zarr.json", chunks="c/")
OME_04 = Version("ome-zarr-0.4", ome="0.4", zarr=2, root=".zattrs", array=".zarray", chunks="")
VERSIONS: Mapping[str, Version] = {one.format_key: one for one in (OME_05, OME_04)}

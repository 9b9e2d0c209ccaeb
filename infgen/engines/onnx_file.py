"""ONNX files of a generator: the names of their inputs, what they say about themselves, and the seal over all of it.

A file draws windows of one size. Its metadata name the model it was made from; the seal, a SHA-256 over the whole file with the
seal's own digits as zeros, shows whether anything was changed since.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB
from infgen.model.config import GeneratorConfig
from infgen.world.geometry import tile_px

Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
OUTPUT = "rgb"
FORMAT, VERSION = "infgen-tile", "1"
MAX_STYLES = 16  # products of two weights are read at every position: 136 for 16 styles
_SEAL_KEY = "infgen.sha256"
OPEN_SEAL = "0" * 64
_SEAL_FIELD = (
    _SEAL_KEY.encode() + b"\x12\x40"
)  # as an entry of metadata_props is stored: key, tag and length of its value


@dataclass(frozen=True)
class TileFile:
    """What an ONNX file draws: windows of ``cells`` (rows, columns) in ``styles`` styles, by the model ``model_sha256``."""

    config: GeneratorConfig
    cells: tuple[int, int]
    styles: int
    precision: Precision
    model_sha256: str
    infgen_version: str

    @property
    def tile_px(self) -> tuple[int, int]:
        """(height, width) of the windows, px."""
        rows, columns = self.cells
        return tile_px(rows, levels=self.config.levels), tile_px(columns, levels=self.config.levels)

    @property
    def input_names(self) -> list[str]:
        """Names of the graph's inputs, in the order of ``infgen.export.graph.TileGraph.forward``."""
        convs = range(len(self.config.texture_channels))
        names = ["z_l", "coordinates", *(f"noise_{i}" for i in convs), "noise_strength", "z_g", "w_plus"]
        return names if self.styles == 1 else [*names, "weights_structure", *(f"weights_{i}" for i in convs)]

    def to_metadata(self) -> dict[str, str]:
        """Entries of ``metadata_props``, the open seal last."""
        height, width = self.tile_px
        return {
            "infgen.format": FORMAT,
            "infgen.format_version": VERSION,
            "infgen.version": self.infgen_version,
            "infgen.model_sha256": self.model_sha256,
            "infgen.config": json.dumps(self.config.to_dict(), separators=(",", ":")),
            "infgen.cells": f"{self.cells[0]}x{self.cells[1]}",
            "infgen.tile_px": f"{height}x{width}",
            "infgen.styles": str(self.styles),
            "infgen.precision": self.precision,
            _SEAL_KEY: OPEN_SEAL,
        }

    @classmethod
    def from_metadata(cls, data: Mapping[str, str], path: Path) -> "TileFile":
        """Read what ``to_metadata`` made. Raises ModelFileError for anything else."""
        if data.get("infgen.format") != FORMAT:
            raise ModelFileError(f"ONNX file {path} was not made by infgen; make one with: infgen export MODEL --onnx")
        if data.get("infgen.format_version") != VERSION:
            raise ModelFileError(
                f"ONNX file {path} has format version {str(data.get('infgen.format_version'))[:20]!r}; this infgen reads "
                f"version {VERSION}: export the model again"
            )
        try:
            return cls._parse(data)
        except (KeyError, ValueError, TypeError, InputError) as error:
            raise ModelFileError(
                f"ONNX file {path} has metadata that cannot be read ({error}); export it again"
            ) from None

    @classmethod
    def _parse(cls, data: Mapping[str, str]) -> "TileFile":
        config: Any = json.loads(data["infgen.config"])
        rows, columns = (int(part) for part in data["infgen.cells"].split("x"))
        precision = data["infgen.precision"]
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision[:20]!r}")
        return cls(
            GeneratorConfig.from_dict(config),
            (rows, columns),
            int(data["infgen.styles"]),
            precision,
            data["infgen.model_sha256"],
            data["infgen.version"],
        )


def stored_precision(data: bytes) -> Precision | None:
    """The precision named in the metadata of a serialised model, before it is parsed; None where it is not found."""
    return next((p for p in PRECISIONS if b"infgen.precision\x12\x04" + p.encode() in data), None)


def seal(data: bytes) -> bytes:
    """``data``, a serialised model with an open seal, with the seal closed."""
    where = data.rindex(_SEAL_FIELD) + len(_SEAL_FIELD)
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:where] + digest + data[where + len(digest) :]


def read_sealed(path: Path) -> bytes:
    """The bytes of the ONNX file ``path``, whose seal is right. They are not parsed.

    Raises InputError for a missing file, ModelFileError for one that is too large, was changed or was not made by infgen.
    """
    if not path.is_file():
        raise InputError(f"ONNX file {path} does not exist; make one with: infgen export MODEL --onnx -o {path.name}")
    size, limit = path.stat().st_size, MAX_MODEL_MB.value()
    if size > limit * 2**20:
        raise ModelFileError(f"ONNX file {path} has {size} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})")
    data = path.read_bytes()
    where = data.rfind(_SEAL_FIELD) + len(_SEAL_FIELD)
    if where < len(_SEAL_FIELD):
        raise ModelFileError(f"ONNX file {path} was not made by infgen; make one with: infgen export MODEL --onnx")
    end = where + len(OPEN_SEAL)
    digest = hashlib.sha256(data[:where])
    digest.update(OPEN_SEAL.encode())
    digest.update(data[end:])
    if digest.hexdigest().encode() != data[where:end]:
        raise ModelFileError(
            f"ONNX file {path} was changed or damaged after infgen wrote it (its hash does not match); export it again"
        )
    return data

"""The record in every exported file: model, window size, number of styles, precision."""

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self, get_args

from infgen.errors import InputError, ModelFileError
from infgen.geometry import tile_px
from infgen.model.config import GeneratorConfig

Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
StylesPer = Literal["batch", "tile"]
STYLES_PER: tuple[StylesPer, ...] = get_args(StylesPer)
OUTPUT = "rgb"
FORMAT, VERSION = "infgen-tile", "1"
DEFAULT_BATCH = 8  # most tiles per call, for runtimes that need a limit
_MAX_CELLS = 2**20  # along one side of a window
MAX_STYLES = 16  # every position reads all products of two weights: 136 for 16 styles


@dataclass(frozen=True)
class TileFile:
    """A file that renders windows of ``cells`` (rows, columns) with up to ``styles`` styles and the model ``model_sha256``.

    ``styles_per``: styles and noise strength are inputs per "batch" or per "tile".
    """

    config: GeneratorConfig
    cells: tuple[int, int]
    _: KW_ONLY
    styles: int
    precision: Precision
    model_sha256: str
    infgen_version: str
    styles_per: StylesPer = "batch"

    @property
    def tile_px(self) -> tuple[int, int]:
        """Size of the windows, (height, width) in px."""
        rows, columns = self.cells
        return tile_px(rows, levels=self.config.levels), tile_px(columns, levels=self.config.levels)

    @property
    def input_names(self) -> list[str]:
        """Names of the graph's inputs, in the order of ``infgen.export.graph.TileGraph.forward``."""
        convs = range(len(self.config.texture_channels))
        names = ["z_l", "coordinates", *(f"noise_{i}" for i in convs), "noise_strength", "z_g", "w_plus"]
        return names if self.styles == 1 else [*names, "weights_structure", *(f"weights_{i}" for i in convs)]

    def to_metadata(self) -> dict[str, str]:
        """Return the record as entries of a file's metadata; ``from_metadata`` reads them."""
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
            "infgen.styles_per": self.styles_per,
            "infgen.precision": self.precision,
        }

    @classmethod
    def from_metadata(cls, data: Mapping[str, str], *, source: str, made_by: str) -> Self:
        """Read a record from ``to_metadata``. ``source`` and ``made_by`` (a command): for messages.

        Raises ModelFileError for anything else.
        """
        if data.get("infgen.format") != FORMAT:
            raise ModelFileError(f"{source} was not made by infgen; make one with: {made_by}")
        if data.get("infgen.format_version") != VERSION:
            raise ModelFileError(
                f"{source} has format version {str(data.get('infgen.format_version'))[:20]!r}; this infgen reads "
                f"version {VERSION}: export the model again"
            )
        try:
            return cls._parse(data)
        except (KeyError, ValueError, TypeError, RecursionError, InputError) as error:
            raise ModelFileError(f"{source} has metadata that cannot be read ({error}); export it again") from None

    @classmethod
    def _parse(cls, data: Mapping[str, str]) -> Self:
        config: Any = json.loads(data["infgen.config"])
        rows, columns = (_number(part, _MAX_CELLS) for part in data["infgen.cells"].split("x"))
        precision, styles_per = data["infgen.precision"], data["infgen.styles_per"]
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision[:20]!r}")
        if styles_per not in STYLES_PER:
            raise ValueError(f"styles per {styles_per[:20]!r}")
        return cls(
            GeneratorConfig.from_dict(config),
            (rows, columns),
            styles=_number(data["infgen.styles"], MAX_STYLES),
            precision=precision,
            model_sha256=data["infgen.model_sha256"],
            infgen_version=data["infgen.version"],
            styles_per=styles_per,
        )


def _number(text: str, most: int) -> int:
    """Parse a whole number from 1 to ``most``. Raises ValueError for anything else."""
    if not 1 <= (value := int(text)) <= most:
        raise ValueError(f"{text[:20]} is out of range, 1 to {most}")
    return value

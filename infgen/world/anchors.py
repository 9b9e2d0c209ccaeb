"""Store the latents of an inverted photograph as a safetensors file, an anchor of a world.

Inside the anchor's block, stored values replace the seed's: ``rows + 24`` x ``columns + 24`` cells of z_l, and the noise
windows of its layers.
"""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialize
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import WorldError, one_line
from infgen.geometry import PX_LIMIT, STRUCTURE_HALO, LayerSpans, Span, Window, cell_px, layer_spans, tile_px
from infgen.limits import MAX_ANCHOR_MB, MIB
from infgen.tensor_files import open_tensors
from infgen.world.document import check_file, cut, join_names

FORMAT = "infgen-anchor"
VERSION = 1
_MAX_LEVELS = 10
# Only one entry: safetensors writes several in random order, and equal latents must give equal files.
_ENTRY = "infgen"
_NUMBERS = ("cell_x", "cell_y", "model_sha256", "period")


@dataclass(frozen=True, eq=False, kw_only=True)
class AnchoredLatents:
    """All latents of one inverted photograph, for a window of n x m cells (rows, columns) of z_S.

    Raises WorldError if shapes are inconsistent, a value is not finite, or a number is out of range.
    """

    cell_x: int  # first column of the z_S window, in cells, at the inversion
    cell_y: int  # first row; 0 is the horizon
    z_l: Tensor  # (C, n + 24, m + 24), starts 12 cells before the z_S window
    noises: tuple[Tensor, ...]  # (1, h_i, w_i) for each texture convolution, on its output lattice
    z_g: Tensor  # (D,)
    w_plus: Tensor  # (rows, D): one row more than noises, or two more for a coarser scale
    model_sha256: str  # of the model file
    period: int | None = None  # period of the world at the inversion, px: coordinates depend on it
    halvings: int = 0  # inverted at scale 1 / 2**halvings: only the first levels have noises

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_numbers(self)
        for name, tensor in _tensors(self).items():
            if not bool(torch.isfinite(tensor).all()):
                raise WorldError(f"{name} holds values that are not finite numbers; invert the photograph again")

    @property
    def nbytes(self) -> int:
        """Size of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in _tensors(self).values())

    @property
    def levels(self) -> int:
        """Number of inverted upsampling levels, with two noises each."""
        return len(self.noises) // 2

    @property
    def world_levels(self) -> int:
        """L, the number of upsampling levels of the whole generator."""
        return self.levels + self.halvings

    @property
    def world_w_plus(self) -> Tensor:
        """Style of the whole generator, (2L + 1, D). The last stored row is repeated for all finer layers."""
        missing = 2 * self.world_levels + 1 - len(self.w_plus)
        return torch.cat([self.w_plus, self.w_plus[-1:].expand(missing, -1)]) if missing else self.w_plus

    @property
    def local_channels(self) -> int:
        """Number of channels of z_l."""
        return self.z_l.shape[0]

    @property
    def cells(self) -> tuple[int, int]:
        """Size of the z_S window, (rows, columns)."""
        return self.z_l.shape[1] - 2 * STRUCTURE_HALO, self.z_l.shape[2] - 2 * STRUCTURE_HALO

    def spans(self, *, cell_x: int | None = None) -> tuple[LayerSpans, LayerSpans]:
        """Return the spans of every layer along x and y. ``cell_x``: first column; None: that of the inversion."""
        rows, columns = self.cells
        x = layer_spans(self.cell_x if cell_x is None else cell_x, columns, levels=self.levels)
        return x, layer_spans(self.cell_y, rows, levels=self.levels)

    @property
    def pixels(self) -> Window:
        """Window of px that the latents give at the position of the inversion."""
        return self.pixels_at(self.cell_x)

    def pixels_at(self, cell_x: int) -> Window:
        """Return the window of px that the latents give with ``cell_x`` as the first column."""
        x, y = (
            Span(span.start << self.halvings, ((span.size - 1) << self.halvings) + 1)
            for span in (layer.pixels for layer in self.spans(cell_x=cell_x))
        )
        return Window(x, y)

    def save(self, path: str | Path) -> None:
        """Write a float32 safetensors file atomically. Equal latents give equal files."""
        numbers = {"format": FORMAT, "version": VERSION, **{name: getattr(self, name) for name in _NUMBERS}}
        numbers |= {"halvings": self.halvings} if self.halvings else {}
        tensors = {name: t.detach().to("cpu", torch.float32).contiguous() for name, t in _tensors(self).items()}
        with write_atomically(path) as temporary:
            temporary.write_bytes(serialize(tensors, metadata={_ENTRY: json.dumps(numbers)}))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file written by ``save`` onto the CPU, without executing anything in it.

        Raises WorldError if the file is missing, over INFGEN_MAX_ANCHOR_MB, damaged, of another kind or inconsistent.
        """
        check_file(Path(path), what="anchor file", limit=MAX_ANCHOR_MB.value() * MIB)
        try:
            with open_tensors(path) as file:
                numbers = _numbers(file.metadata(), path)
                names = list(file.keys())
                _check_names({name: file.get_slice(name).get_dtype() for name in names}, path)
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            reason = one_line(error)
            raise WorldError(
                f"anchor file {path} is damaged or not a safetensors file ({reason}); get it again"
            ) from None
        noises = tuple(tensors[f"noise.{i}"] for i in range(len(tensors) - 3))
        z_l, z_g, w_plus = (tensors[name] for name in ("z_l", "z_g", "w_plus"))
        try:
            return cls(z_l=z_l, noises=noises, z_g=z_g, w_plus=w_plus, **numbers)
        except WorldError as error:
            raise WorldError(f"anchor file {path}: {error}") from None


def holds_latents(path: str | Path) -> bool:
    """Return whether the safetensors file ``path`` has a header of latents; False if it cannot be read."""
    try:
        with open_tensors(path) as file:
            return _ENTRY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _tensors(latents: AnchoredLatents) -> dict[str, Tensor]:
    noises = {f"noise.{i}": noise for i, noise in enumerate(latents.noises)}
    return {"z_l": latents.z_l, "z_g": latents.z_g, "w_plus": latents.w_plus, **noises}


def _check_shapes(latents: AnchoredLatents) -> None:
    count, z_l, z_g = len(latents.noises), latents.z_l, latents.z_g
    if count % 2 or not 2 <= count <= 2 * _MAX_LEVELS:
        raise WorldError(f"{count} noises given; allowed are 2 for each of 1 to {_MAX_LEVELS} levels")
    if z_l.dim() != 3 or z_l.shape[0] < 1 or min(tile_px(n, levels=latents.levels) for n in latents.cells) < 1:
        raise WorldError(f"z_l has shape {tuple(z_l.shape)}; at {latents.levels} levels it gives no pixels")
    if z_g.dim() != 1 or z_g.shape[0] < 1:
        raise WorldError(f"z_g has shape {tuple(z_g.shape)}; (D,) is needed")
    down, across = (layer_spans(0, n, levels=latents.levels).noise for n in latents.cells)
    rows = count + (2 if latents.halvings else 1)
    needed: dict[str, tuple[int, ...]] = {"w_plus": (rows, z_g.shape[0])}
    needed |= {f"noise.{i}": (1, down[i].size, across[i].size) for i in range(count)}
    for name, shape in needed.items():
        if (found := tuple(_tensors(latents)[name].shape)) != shape:
            raise WorldError(f"{name} has shape {found}; with the shapes of the others {shape} is needed")


def _check_numbers(latents: AnchoredLatents) -> None:
    if type(latents.halvings) is not int or not 0 <= latents.halvings <= _MAX_LEVELS - latents.levels:
        most = _MAX_LEVELS - latents.levels
        raise WorldError(f"halvings is {cut(repr(latents.halvings))}; allowed are whole numbers from 0 to {most}")
    spacing = cell_px(latents.world_levels)
    limit = PX_LIMIT // spacing
    for name, value in (("cell_x", latents.cell_x), ("cell_y", latents.cell_y)):
        if type(value) is not int or not -limit <= value <= limit:
            raise WorldError(f"{name} is {cut(repr(value))}; allowed are whole numbers from {-limit} to {limit}")
    if not _is_sha256(latents.model_sha256):
        raise WorldError(f"model_sha256 is {cut(repr(latents.model_sha256))}; 64 hexadecimal digits are needed")
    if (period := latents.period) is None:
        return
    least = latents.z_l.shape[2] * spacing
    if type(period) is not int or period % spacing or not least <= period <= PX_LIMIT:
        raise WorldError(
            f"period is {cut(repr(period))}; allowed are multiples of {spacing} px from {least}, the width of z_l"
        )


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set(string.digits + "abcdef")


def _numbers(metadata: Mapping[str, str] | None, path: str | Path) -> dict[str, Any]:
    """Read the numbers in the metadata. Raises WorldError if another program wrote them."""
    try:
        found: Any = json.loads((metadata or {})[_ENTRY])
    except (KeyError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise WorldError(f"anchor file {path} holds no latents of an inverted photograph; give one that infgen wrote")
    if found.get("version") != VERSION:
        raise WorldError(
            f"anchor file {path} has version {cut(repr(found.get('version')))}; this infgen reads version {VERSION}: "
            "update infgen"
        )
    if set(found) - {"halvings"} != {"format", "version", *_NUMBERS}:
        raise WorldError(
            f"anchor file {path} has entries {join_names(sorted(found))}; {join_names(_NUMBERS)} are needed"
        )
    return {name: found[name] for name in _NUMBERS} | {"halvings": found.get("halvings", 0)}


def _check_names(kinds: Mapping[str, str], path: str | Path) -> None:
    """Raise WorldError unless there are exactly z_l, z_g, w_plus and noise.0, noise.1 ..., all float32."""
    needed = {"z_l", "z_g", "w_plus", *(f"noise.{i}" for i in range(len(kinds) - 3))}
    if set(kinds) != needed or set(kinds.values()) != {"F32"}:
        raise WorldError(
            f"anchor file {path} holds {join_names([f'{name} {kind}' for name, kind in sorted(kinds.items())])}; "
            "float32 z_l, z_g, w_plus, noise.0, noise.1 ... are needed"
        )

"""Base class of engines that run an exported file: one window size, a limited number of styles, batches split to fit."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.engines.tile_file import StylesPer, TileFile
from infgen.errors import InfgenError, InputError
from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Style
from infgen.model.layers import StyleWeights

Feed = dict[str, Tensor]
PER_BATCH = ("noise_strength", "z_g", "w_plus")  # inputs without a batch, unless each tile has its own styles


class OutOfDeviceMemory(Exception):
    """The batch does not fit the device's memory."""


class ExportedEngine(ABC):
    """An engine that runs ``file``. ``source``: its name in messages."""

    def __init__(self, file: TileFile, source: str) -> None:
        self._file, self._source = file, source

    @property
    def file(self) -> TileFile:
        """Record in the file: model, window, styles, precision."""
        return self._file

    @property
    def fixed_cells(self) -> tuple[int, int] | None:
        """(rows, columns) of z_S in every window, the only size of the file."""
        return self._file.cells

    @property
    def most_tiles(self) -> int | None:
        """Most tiles per call; None: any number."""
        return None

    @property
    def config(self) -> GeneratorConfig:
        return self._file.config

    @property
    def precision(self) -> str:
        """Precision of the file: "fp32", "fp16" or "bf16"."""
        return self._file.precision

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the engine in messages and provenance."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Preferred device of inputs."""

    @property
    @abstractmethod
    def bytes_per_value(self) -> int:
        """Bytes of one activation, for memory estimates."""

    @abstractmethod
    def _run(self, feed: Feed, count: int) -> Tensor:
        """Compute RGB (count, 3, H, W) of inputs by name. Raises OutOfDeviceMemory."""

    def check(self, *, styles: int = 1, model_sha256: str | None = None) -> None:
        """Raise InputError if the file is not of the model ``model_sha256``, or cannot mix ``styles`` styles in one tile.

        Call this before rendering.
        """
        made_of = self._file.model_sha256
        if model_sha256 is not None and model_sha256 != made_of:
            raise InputError(
                f"{self._source} was made from model {made_of[:12]}, not from {model_sha256[:12]}; export this model, or "
                "render with the one it was made from"
            )
        if styles > self._file.styles:
            mixes = "draws one style" if self._file.styles == 1 else f"mixes {self._file.styles}"
            raise InputError(
                f"{styles} styles reach one tile and {self._source} {mixes}; export the model with --max-styles {styles}, or "
                "give the layout a narrower transition"
            )

    def render_float(self, batch: TileBatch) -> Tensor:
        """Compute RGB (B, 3, H, W), float32, about [-1, 1], not clipped.

        Raises InputError for windows of another size than the file's, or for more styles in one tile. Raises InfgenError if
        a single tile does not fit the device's memory.
        """
        self._check_size(batch)
        return torch.cat([self._run_in_memory(part) for part in self._parts(batch)])

    def _check_size(self, batch: TileBatch) -> None:
        expected = self.config.noise_shapes(self._file.cells)[-1]
        found = tuple(batch.noises[-1].shape[-2:])
        if found != expected:
            raise InputError(
                f"tiles of {found[0]} x {found[1]} px were asked of {self._source}, which draws {expected[0]} x "
                f"{expected[1]} px; export the model with another --tile"
            )

    def _parts(self, batch: TileBatch) -> Iterator[TileBatch]:
        """Split ``batch`` into parts within the file's limits of tiles and styles."""
        most = self.most_tiles or len(batch.z_l)
        if batch.style.z_g.shape[0] <= self._file.styles:
            yield from (slice_batch(batch, i, i + most) for i in range(0, len(batch.z_l), most))
            return
        for i in range(len(batch.z_l)):
            alone = drop_unused_styles(slice_batch(batch, i, i + 1))
            self.check(styles=alone.style.z_g.shape[0])
            yield alone

    def _run_in_memory(self, batch: TileBatch) -> Tensor:
        """Run the batch, and split it in half if it does not fit the memory."""
        count = len(batch.z_l)
        try:
            return self._run(make_feed(batch, styles=self._file.styles, styles_per=self._file.styles_per), count)
        except OutOfDeviceMemory:
            if count == 1:
                height, width = self._file.tile_px
                raise InfgenError(
                    f"one tile of {height} x {width} px of {self._source} does not fit the memory of {self.device}; export the "
                    "model with a smaller --tile"
                ) from None
        half = count // 2
        return torch.cat(
            [self._run_in_memory(slice_batch(batch, 0, half)), self._run_in_memory(slice_batch(batch, half, count))]
        )


def slice_batch(batch: TileBatch, start: int, stop: int) -> TileBatch:
    """Return tiles ``start`` to ``stop`` of ``batch``."""
    weights = batch.weights
    return replace(
        batch,
        z_l=batch.z_l[start:stop],
        coordinates=batch.coordinates[start:stop],
        noises=tuple(noise[start:stop] for noise in batch.noises),
        weights=None
        if weights is None
        else StyleWeights(weights.structure[start:stop], tuple(w[start:stop] for w in weights.texture)),
    )


def drop_unused_styles(batch: TileBatch) -> TileBatch:
    """Return ``batch`` without the styles whose weight is 0 everywhere in it."""
    if batch.weights is None:
        return batch
    planes = (batch.weights.structure, *batch.weights.texture)
    used = torch.stack([plane.amax((0, 2, 3)) > 0 for plane in planes]).any(0)
    return replace(
        batch,
        style=Style(batch.style.z_g[used], batch.style.w_plus[used]),
        weights=StyleWeights(planes[0][:, used], tuple(plane[:, used] for plane in planes[1:])),
    )


def make_feed(batch: TileBatch, *, styles: int, styles_per: StylesPer = "batch") -> Feed:
    """Convert ``batch`` to the inputs of a file for ``styles`` styles: float32, by name, in ``TileFile.input_names`` order.

    Missing styles are copies of the first one at weight 0. With ``styles_per`` "tile", each tile gets a copy of noise strength
    and styles.
    """
    spare = styles - batch.style.z_g.shape[0]
    feed = {"z_l": batch.z_l, "coordinates": batch.coordinates}
    feed |= {f"noise_{i}": noise for i, noise in enumerate(batch.noises)}
    feed["noise_strength"] = torch.tensor(batch.noise_strength)
    for name, rows in (("z_g", batch.style.z_g), ("w_plus", batch.style.w_plus)):
        feed[name] = torch.cat([rows, rows[:1].expand(spare, *rows.shape[1:])])
    if styles_per == "tile":
        feed["noise_strength"] = feed["noise_strength"].view(1, 1, 1)
        for name in PER_BATCH:
            feed[name] = feed[name].expand(len(batch.z_l), *feed[name].shape)
    if styles > 1:
        for name, shares in zip(("structure", *range(len(batch.noises))), _weights(batch), strict=True):
            nothing = shares.new_zeros(()).expand(shares.shape[0], spare, *shares.shape[2:])
            feed[f"weights_{name}"] = torch.cat([shares, nothing], dim=1)
    return {name: tensor.detach().float().contiguous() for name, tensor in feed.items()}


def _weights(batch: TileBatch) -> Sequence[Tensor]:
    """Return the weights of all layers, structure first; 1 everywhere for a single style."""
    if batch.weights is not None:
        return (batch.weights.structure, *batch.weights.texture)
    cells = batch.z_l[..., STRUCTURE_HALO:-STRUCTURE_HALO, STRUCTURE_HALO:-STRUCTURE_HALO]
    return [torch.ones_like(plane[:, :1]) for plane in (batch.z_l, cells, *batch.noises[:-1])]

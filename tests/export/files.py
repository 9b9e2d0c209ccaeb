"""ONNX files of the tiny model, each exported once a test run, and scenes that draw with them."""

from functools import cache
from pathlib import Path

import torch

from infgen.engines.base import Engine, TileBatch
from infgen.engines.onnx import OnnxEngine
from infgen.engines.tile_file import Precision
from infgen.export.onnx import export_onnx
from infgen.model.checkpoint import file_hash
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering.render import Scene
from infgen.world.styles import world_palette
from infgen.world.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.model.networks import random_generator
from tests.shared_files import made_once


@cache
def tiny_generator() -> Generator:
    """The model of the fixture ``tiny``."""
    return random_generator(preset("tiny"), seed=7)


@cache
def tiny_file() -> Path:
    """Its model file."""
    return made_once("tiny.safetensors", tiny_generator().save_pretrained)


def onnx_file(*, styles: int = 1, precision: Precision = "fp32", cells: int = 11) -> Path:
    """An ONNX file of the tiny model, for square tiles. Not to be changed: copy it first."""
    return _exported(styles, precision, cells)


def onnx_engine(*, styles: int = 1, precision: Precision = "fp32", cells: int = 11) -> OnnxEngine:
    """An engine that runs it on the CPU, on one thread."""
    return _opened(styles, precision, cells)


@cache
def _exported(styles: int, precision: Precision, cells: int) -> Path:
    def make(path: Path) -> None:
        hashed = file_hash(tiny_file())
        export_onnx(
            tiny_generator(), path, model_sha256=hashed, cells=(cells, cells), styles=styles, precision=precision
        )

    return made_once(f"{styles}-{precision}-{cells}.onnx", make)


@cache
def _opened(styles: int, precision: Precision, cells: int) -> OnnxEngine:
    return OnnxEngine(_exported(styles, precision, cells), threads=1)


def scene_of(engine: Engine, **world: object) -> Scene:
    """``World`` of the given values, drawn by ``engine``, which runs the tiny model."""
    document = World.create(**world)
    return Scene(document, world_palette(document, tiny_generator()), engine)


def batch_of(world: World, *, cells: tuple[int, int] = (11, 11), count: int = 2) -> TileBatch:
    """Inputs of the tiny model for tiles around the origin."""
    return batch_at(world, [TilePosition(7 * i - 5, 3 - i) for i in range(count)], cells=cells)


def batch_at(world: World, tiles: list[TilePosition], *, cells: tuple[int, int] = (11, 11)) -> TileBatch:
    """Inputs of the tiny model for ``tiles``."""
    generator = tiny_generator()
    palette = world_palette(world, generator)
    return tile_batch(world, tiles, cells=cells, config=generator.config, palette=palette, device=torch.device("cpu"))

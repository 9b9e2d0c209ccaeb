"""Model and ONNX files of the networks in ``tests.model.scaled``, each made once a test run, and scenes that draw with them."""

from functools import cache
from pathlib import Path

import torch
from click.testing import CliRunner

from infgen.cli.export import command
from infgen.engines.base import Engine, TileBatch
from infgen.engines.onnx import OnnxEngine
from infgen.engines.tile_file import Precision
from infgen.export.onnx import export_onnx
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.render import Scene
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.model.scaled import CELLS, FOUR_LEVELS, network, six_levels
from tests.shared_files import made_once

SCALED_STYLES = 4  # that can meet in a tile of a file of the six-level model: it draws one style, too


def tiny_generator() -> Generator:
    """The model of the fixture ``tiny``."""
    return network(FOUR_LEVELS)


@cache
def tiny_file() -> Path:
    """Its model file."""
    return made_once("tiny.safetensors", tiny_generator().save_pretrained)


@cache
def scaled_model() -> Path:
    """The file of the six-level model."""
    return made_once("scaled.safetensors", six_levels().save_pretrained)


@cache
def scaled_file(name: str) -> Path:
    """An ONNX file of the six-level model at scale ``name``. Styles come for each tile, so that Triton takes it, too."""

    def make(path: Path) -> None:
        export_onnx(
            network(name),
            path,
            model_sha256=file_hash(scaled_model()),
            cells=(CELLS[name], CELLS[name]),
            styles=SCALED_STYLES,
            styles_per="tile",
        )

    return made_once(f"scaled-{CELLS[name]}.onnx", make)


@cache
def half_file() -> Path:
    """The ONNX file of the six-level model at scale 1/4 in half precision, as ``infgen export`` writes it."""

    def make(path: Path) -> None:
        words = ["--onnx", "--scale", "1/4", "--tile", "101", "--precision", "fp16", "--max-styles", str(SCALED_STYLES)]
        result = CliRunner().invoke(command, [str(scaled_model()), *words, "-o", str(path), "--quiet"])
        assert result.exit_code == 0, result.output

    return made_once("half.onnx", make)


@cache
def scaled_engine(name: str, precision: Precision = "fp32") -> OnnxEngine:
    """An engine that runs ``scaled_file`` or ``half_file`` on the CPU, on one thread."""
    return OnnxEngine(scaled_file(name) if precision == "fp32" else half_file(), threads=1)


def onnx_file(*, styles: int = 1, precision: Precision = "fp32", cells: int = 11) -> Path:
    """An ONNX file of the tiny model, for square tiles. Not to be changed: copy it first."""
    return _export(styles, precision, cells)


def onnx_engine(*, styles: int = 1, precision: Precision = "fp32", cells: int = 11) -> OnnxEngine:
    """An engine that runs it on the CPU, on one thread."""
    return _open(styles, precision, cells)


@cache
def _export(styles: int, precision: Precision, cells: int) -> Path:
    def make(path: Path) -> None:
        hashed = file_hash(tiny_file())
        export_onnx(
            tiny_generator(), path, model_sha256=hashed, cells=(cells, cells), styles=styles, precision=precision
        )

    return made_once(f"{styles}-{precision}-{cells}.onnx", make)


@cache
def _open(styles: int, precision: Precision, cells: int) -> OnnxEngine:
    return OnnxEngine(_export(styles, precision, cells), threads=1)


def scene_of(engine: Engine, *, of: str = FOUR_LEVELS, **world: object) -> Scene:
    """``World`` of the given values, drawn by ``engine``, which runs the network called ``of``."""
    document = World.create(**world)
    return Scene(document, world_palette(document, network(of)), engine)


def batch_of(world: World, *, cells: tuple[int, int] = (11, 11), count: int = 2) -> TileBatch:
    """Inputs of the tiny model for tiles around the origin."""
    return batch_at(world, [TilePosition(7 * i - 5, 3 - i) for i in range(count)], cells=cells)


def batch_at(world: World, tiles: list[TilePosition], *, cells: tuple[int, int] = (11, 11)) -> TileBatch:
    """Inputs of the tiny model for ``tiles``."""
    generator = tiny_generator()
    palette = world_palette(world, generator)
    return tile_batch(world, tiles, cells=cells, config=generator.config, palette=palette, device=torch.device("cpu"))

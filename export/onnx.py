"""Export ONNX files: the network for windows of one size, with any batch and any style."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from infgen.atomic import check_output, write_atomically
from infgen.engines.onnx_file import OPEN_SEAL, SEAL_KEY, seal
from infgen.engines.tile_file import MAX_STYLES, OUTPUT, PRECISIONS, Precision, StylesPer, TileFile
from infgen.errors import InputError
from infgen.export import functions
from infgen.export.graph import TileGraph
from infgen.extras import require_extra
from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.version import __version__

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
EXAMPLE_BATCH = 2  # the exporter would treat 1 as a constant


def export_onnx(
    generator: Generator,
    path: str | Path,
    *,
    model_sha256: str,
    cells: tuple[int, int],
    styles: int = 1,
    precision: Precision = "fp32",
    styles_per: StylesPer = "batch",
) -> TileFile:
    """Write ``generator`` for windows of ``cells`` (rows, columns) of z_S to ``path``, complete or not at all.

    ``model_sha256``: hash of the model file, which engines check. ``styles``: 1, or the maximum number in one batch.
    ``precision``: type of convolution weights and activations; inputs and RGB are float32. The inputs are those of
    ``TileGraph.forward``, named as in ``TileFile.input_names``, with a dynamic batch. ``styles_per``: "batch" for one set of
    styles and one noise strength per batch, or "tile" for one per tile: (B, K, D), (B, K, rows, D) and (B, 1, 1, 1), for
    servers that join batches.
    Raises InputError for cells that give no pixels, an unknown precision or too many styles, and MissingExtraError.

    >>> from infgen import Generator, World
    >>> from infgen.export import export_onnx
    >>> from infgen.model.checkpoint import file_hash
    >>> generator = Generator.from_pretrained("tiny.safetensors")
    >>> file = export_onnx(generator, "tiny.onnx", model_sha256=file_hash("tiny.safetensors"), cells=(9, 9))
    >>> file.tile_px
    (21, 21)
    >>> World(seed=7).render(0, 0, 96, 64, model="tiny.safetensors", engine_file="tiny.onnx").shape
    (64, 96, 3)
    """
    check_output(path, extensions=(".onnx",))
    _check_options(generator.config, cells, styles, precision)
    file = TileFile(
        generator.config,
        cells,
        styles=styles,
        precision=precision,
        model_sha256=model_sha256,
        infgen_version=__version__,
        styles_per=styles_per,
    )
    sealed = seal(_build_model(generator, file))  # first, so that a killed export leaves no temporary file
    with write_atomically(path) as temporary:
        temporary.write_bytes(sealed)
    return file


def _check_options(config: GeneratorConfig, cells: tuple[int, int], styles: int, precision: str) -> None:
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}")
    if not 1 <= styles <= MAX_STYLES:
        raise InputError(f"styles {styles} is out of range; allowed are 1 to {MAX_STYLES}")
    try:
        config.noise_shapes(cells)
    except ValueError as error:
        raise InputError(f"a window of {cells[0]} x {cells[1]} cells cannot be exported: {error}") from None


def _build_model(generator: Generator, file: TileFile) -> bytes:
    """Build and check the model with its metadata and an open seal."""
    with require_extra("cpu", "ONNX export"):
        import onnx
        import onnxscript  # noqa: F401 -- the exporter needs it
    model = _translate(generator, file)
    model.functions.extend(functions.function_protos(functions.OPSETS[file.precision]))
    _remove_source_notes(model)
    onnx.helper.set_model_props(model, file.to_metadata() | {SEAL_KEY: OPEN_SEAL})
    onnx.checker.check_model(model, full_check=True)
    return cast(bytes, model.SerializeToString(deterministic=True))


def _translate(generator: Generator, file: TileFile) -> Any:
    """Translate the network to ``onnx.ModelProto``, with a node for each epilogue."""
    network = TileGraph(generator, styles=file.styles, dtype=DTYPES[file.precision]).eval()
    functions.register_schemas()
    with _suppress_warnings():
        program = torch.onnx.export(
            network,
            example_inputs(file),
            input_names=file.input_names,
            output_names=[OUTPUT],
            dynamic_shapes=_dynamic_shapes(file),
            opset_version=functions.OPSETS[file.precision],
            custom_translation_table=functions.translation_table(),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def example_inputs(file: TileFile) -> tuple[Any, ...]:
    """Make zeros in the shapes of ``TileGraph.forward``'s inputs, for a batch of two."""
    config, batch = file.config, EXAMPLE_BATCH
    rows, columns = (side + 2 * STRUCTURE_HALO for side in file.cells)
    noises = [torch.zeros(batch, 1, *shape) for shape in config.noise_shapes(file.cells)]
    lattices = [(rows, columns), file.cells, *config.noise_shapes(file.cells)[:-1]]
    weights = [torch.zeros(batch, file.styles, *shape) for shape in lattices]
    tiles = (batch,) if file.styles_per == "tile" else ()
    inputs: tuple[Any, ...] = (
        torch.zeros(batch, config.local_channels, rows, columns),
        torch.zeros(batch, config.coordinate_channels, rows, columns),
        noises,
        torch.ones(*tiles, 1, 1, 1) if tiles else torch.ones(()),
        torch.zeros(*tiles, file.styles, config.global_channels),
        torch.zeros(*tiles, file.styles, config.style_layers, config.global_channels),
    )
    return inputs if file.styles == 1 else (*inputs, weights)


def _dynamic_shapes(file: TileFile) -> tuple[Any, ...]:
    """Describe the dynamic axes: the batch, which noise strength and styles also have if they are given per tile."""
    batch = {0: torch.export.Dim("batch")}
    noises = [batch] * len(file.config.texture_channels)
    style = batch if file.styles_per == "tile" else {}
    inputs: tuple[Any, ...] = (batch, batch, noises, style, style, style)
    return inputs if file.styles == 1 else (*inputs, [batch, *noises])


def _remove_source_notes(model: Any) -> None:
    """Remove the exporter's notes on its machine and source lines, so that equal models give equal files."""
    graph = model.graph
    graph.name = "infgen"
    del graph.metadata_props[:]
    for entry in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del entry.metadata_props[:]
        entry.doc_string = ""


@contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Suppress the exporter's warnings about its own deprecations and about libraries that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

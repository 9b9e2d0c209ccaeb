"""Find or make the file of an engine that was selected without one.

A file of the default name in the current folder comes first, if ``infgen export`` wrote it on this machine. Then comes
the cache folder, where a missing or outdated file is made.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from infgen.cache import cache_folder
from infgen.engines.onnx_file import read_onnx
from infgen.engines.tensorrt_file import check_runs, read_engine
from infgen.engines.tensorrt_library import find_gpu, find_library
from infgen.engines.tile_file import MAX_STYLES, Precision, TileFile
from infgen.errors import InputError
from infgen.geometry import cells_covering, tile_px
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from infgen.rendering.output_names import source_stem
from infgen.rendering.plan import MIN_TILE_CELLS, tile_option_cells
from infgen.version import __version__

FileKind = Literal["onnx", "trt"]
SUFFIXES: dict[FileKind, str] = {"onnx": ".onnx", "trt": ".engine"}
DEFAULT_TILE_PX = 485  # or the next smaller size of the model
_HASH_DIGITS = 12  # of the model in names of cached files
Report = Callable[[str], None]


@dataclass(frozen=True)
class EngineNeeds:
    """Requirements for the file of an engine. ``tile_px`` None: the default tile. ``halvings``: of the scale."""

    kind: FileKind
    model: Path
    _: KW_ONLY
    tile_px: int | None = None
    styles: int = 1
    precision: Precision = "fp32"
    halvings: int = 0


def default_tile_cells(levels: int) -> int:
    """Return the cells of the largest valid tile of at most ``DEFAULT_TILE_PX`` px, or else of the smallest tile."""
    return max(MIN_TILE_CELLS, cells_covering(DEFAULT_TILE_PX + 1, levels=levels) - 1)


def tile_file(generator: Generator, needs: EngineNeeds) -> TileFile:
    """Return the record of the file for ``needs``. ``generator``: the model at its scale. Raises InputError for a tile."""
    levels = generator.config.levels
    cells = default_tile_cells(levels) if needs.tile_px is None else tile_option_cells(needs.tile_px, levels=levels)
    styles, digest = min(needs.styles, MAX_STYLES), file_hash(needs.model)
    return TileFile(
        generator.config,
        (cells, cells),
        styles=styles,
        precision=needs.precision,
        model_sha256=digest,
        infgen_version=__version__,
    )


def default_stem(model: str | Path, *, levels: int, cells: int, styles: int, precision: str, halvings: int) -> str:
    """Name an exported file, such as "scenery-453px-fp32" or "scenery-453px-fp16-4styles-scale1-2"."""
    mixed = f"-{styles}styles" if styles > 1 else ""
    scale = f"-scale1-{1 << halvings}" if halvings else ""
    return f"{source_stem(model)}-{tile_px(cells, levels=levels)}px-{precision}{mixed}{scale}"


def default_engine_file(needs: EngineNeeds, *, gpu: int = 0, report: Report = lambda line: None) -> Path:
    """Return a file that meets ``needs``. A missing file is made. ``gpu``: number of the GPU that runs it.

    ``report`` gets a line about the file. Raises whatever ``export_onnx`` and ``export_tensorrt`` raise, and InputError
    for TensorRT without a GPU and for an unusable cache folder.
    """
    if needs.kind == "trt" and find_gpu(gpu) is None:
        raise InputError("engine trt needs an NVIDIA GPU, and PyTorch sees none here; use --engine eager or onnx")
    generator = Generator.from_pretrained(needs.model).coarser(needs.halvings)
    wanted = tile_file(generator, needs)
    stem = default_stem(
        needs.model,
        levels=generator.config.levels,
        cells=wanted.cells[0],
        styles=wanted.styles,
        precision=needs.precision,
        halvings=needs.halvings,
    )
    suffix = SUFFIXES[needs.kind]
    cached = _cache("engines") / f"{stem}-{wanted.model_sha256[:_HASH_DIGITS]}{suffix}"
    for path in (*_list_numbered(stem, suffix), cached):
        if (path == cached or _was_made_here(path)) and _difference(path, wanted, kind=needs.kind, gpu=gpu) is None:
            report(f"engine {needs.kind} uses {path}")
            return path
    _make(cached, generator, wanted, kind=needs.kind, gpu=gpu, report=report)
    return cached


def _list_numbered(stem: str, suffix: str) -> Iterator[Path]:
    """Yield the existing files of a default name in the current folder, in the order of their numbers."""
    for number in itertools.count(1):
        path = Path(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        if not path.is_file():
            return
        yield path


def _difference(path: Path, wanted: TileFile, *, kind: FileKind, gpu: int) -> str | None:
    """Describe why the file ``path`` does not fit ``wanted``; None if it fits."""
    try:
        if kind == "onnx":
            found = read_onnx(path)[0]
        else:
            record, here = read_engine(path)[0], find_gpu(gpu)
            library, found = find_library(record.builder), record.tile
            if library is None or here is None:
                return f"{record.built_by} is not installed"
            check_runs(record, library, here, path=path)
    except InputError as error:
        return str(error)
    differing = [name for name in wanted.__dataclass_fields__ if getattr(found, name) != getattr(wanted, name)]
    return f"it has another {', '.join(differing)}" if differing else None


def _make(path: Path, generator: Generator, wanted: TileFile, *, kind: FileKind, gpu: int, report: Report) -> None:
    if path.exists():
        report(f"{path} is rebuilt: {_difference(path, wanted, kind=kind, gpu=gpu)}")
    side = wanted.tile_px[0]
    time_needed = "takes seconds" if kind == "onnx" else "takes minutes"
    report(f"export of a file for engine {kind}, tiles of {side} px, {wanted.precision}: {time_needed}, only once")
    began = time.monotonic()
    # The only place where the core imports exports: an engine without a file needs one.
    if kind == "onnx":
        from infgen.export.onnx import export_onnx

        export_onnx(
            generator,
            path,
            model_sha256=wanted.model_sha256,
            cells=wanted.cells,
            styles=wanted.styles,
            precision=wanted.precision,
        )
    else:
        from infgen.export.tensorrt import export_tensorrt

        path.unlink(missing_ok=True)
        export_tensorrt(
            generator,
            path,
            model_sha256=wanted.model_sha256,
            cells=wanted.cells,
            styles=wanted.styles,
            precision=wanted.precision,
            report=report,
        )
    report(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, made in {time.monotonic() - began:.0f} s")


def remember_export(path: Path) -> None:
    """Remember that ``infgen export`` wrote the file ``path`` on this machine, so that engines may take it unasked."""
    with suppress(InputError, OSError):  # without a cache folder, engines make their own files
        (_cache("exports") / file_hash(path)).touch()


def _was_made_here(path: Path) -> bool:
    """Whether ``remember_export`` knows the content. An engine's file is a program: others' files need ``--engine-file``."""
    return (cache_folder() / "exports" / file_hash(path)).exists()


def _cache(name: str) -> Path:
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cache folder {folder} cannot be created ({error.strerror}); set INFGEN_CACHE_DIR, or give --engine-file"
        ) from None
    return folder

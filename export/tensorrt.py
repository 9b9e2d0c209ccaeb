"""TensorRT engines: the network for windows of one size, built for the GPUs that will run it.

Classic TensorRT where it and a GPU are here, with plugins for the epilogues; TensorRT-RTX otherwise, which needs no GPU.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infgen import __version__
from infgen.atomic import check_output, write_atomically
from infgen.engines.tensorrt_file import EngineRecord, pack, read_engine
from infgen.engines.tensorrt_library import INSTALL, Gpu, Library, find_gpu, find_library
from infgen.engines.tile_file import DEFAULT_BATCH, Precision, TileFile
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.export.onnx import export_onnx
from infgen.export.tensorrt_build import Job, Result
from infgen.model.generator import Generator
from infgen.rendering.plan import MAX_BATCH

RTX_TARGETS = (
    "8.0",
    "8.6",
    "8.9",
    "12.0",
    "12.1",
)  # compute capabilities; for 7.5 it has no products of float32 matrices
RTX_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")  # it has no transposed convolutions in bf16
OLDEST = (8, 0)  # compute capability for which the plugins can be compiled
_SHOWN = 300  # characters of a foreign message


@dataclass(frozen=True)
class Built:
    """How an engine was built: layers of the network before TensorRT joined them; seconds without the ONNX export."""

    layers: int
    seconds: float


@dataclass(frozen=True)
class EngineExport:
    """The engine that stands in a file now; ``built`` is None where it stood there already."""

    record: EngineRecord
    built: Built | None

    def describe(self) -> str:
        """What stands there and how it came about, in one line."""
        made = (
            "up to date" if self.built is None else f"{self.built.layers} layers, built in {self.built.seconds:.1f} s"
        )
        tiles = "one tile at a time" if self.record.batch == 1 else f"batches of 1 to {self.record.batch}"
        return f"{tiles}, {self.record.built_by} for GPU {', '.join(self.record.gpus)}; {made}"


def export_tensorrt(
    generator: Generator,
    path: str | Path,
    *,
    model_sha256: str,
    cells: tuple[int, int],
    styles: int = 1,
    precision: Precision = "fp32",
    batch: int = DEFAULT_BATCH,
    workspace_mb: int | None = None,
    targets: tuple[str, ...] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> EngineExport:
    """Write an engine of ``generator`` to ``path``, whole or not at all; leave the file alone if it is what would be written.

    ``cells``, ``styles``, ``precision``, ``model_sha256``: as of ``export_onnx``. ``batch``: tiles at once at most.
    ``workspace_mb``: most memory of one layer, MiB; None leaves it to TensorRT. ``targets``: compute capabilities that
    TensorRT-RTX builds for, as "8.9"; None: the GPU here, or all where there is none. ``report`` is told why a file that exists
    is built again.
    Raises what ``export_onnx`` raises; MissingExtraError without any TensorRT; InputError for a value out of range, a GPU that
    is too old, or a precision that the device or TensorRT-RTX does not compute; InfgenError where TensorRT fails.
    """
    _check(batch, workspace_mb)
    library, here = choose(), find_gpu()
    capabilities = _capabilities(library, here, targets)
    _check_precision(library, precision)
    target = check_output(path)
    tile = TileFile(generator.config, cells, styles, precision, model_sha256, __version__)
    gpus = (str(here),) if library.builder == "classic" else capabilities
    record = EngineRecord(tile, library.builder, library.version, gpus, batch, workspace_mb)
    if target.exists():
        reason = _outdated(target, record)
        if reason is None:
            return EngineExport(record, None)
        report(f"{path} is built again: {reason}")
    engine, built = _built(generator, library, record, capabilities)
    with write_atomically(target) as temporary:
        temporary.write_bytes(pack(record, engine))
    return EngineExport(record, built)


def _built(
    generator: Generator, library: Library, record: EngineRecord, capabilities: tuple[str, ...]
) -> tuple[bytes, Built]:
    tile = record.tile
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        onnx = Path(folder, "tiles.onnx")
        export_onnx(
            generator,
            onnx,
            model_sha256=tile.model_sha256,
            cells=tile.cells,
            styles=tile.styles,
            precision=tile.precision,
        )
        return build_engine(onnx, library, record, capabilities=capabilities)


def _check(batch: int, workspace_mb: int | None) -> None:
    if not 1 <= batch <= MAX_BATCH:
        raise InputError(f"batch {batch} is out of range; allowed are 1 to {MAX_BATCH}")
    if workspace_mb is not None and workspace_mb < 1:
        raise InputError(f"workspace {workspace_mb} MiB is out of range; give 1 or more, or leave it out")


def choose() -> Library:
    """The TensorRT that builds here. Raises MissingExtraError where none is installed, InputError where it needs a GPU."""
    classic, rtx = find_library("classic"), find_library("rtx")
    if classic is not None and find_gpu() is not None:
        return classic
    if rtx is not None:
        return rtx
    if classic is not None:
        raise InputError(
            f"{classic.title} builds on the GPU that will run the engine, and PyTorch sees none here; export on that machine, "
            f"or build without a GPU after: {INSTALL['rtx']}"
        )
    raise MissingExtraError(
        f"no TensorRT is installed; run: {INSTALL['rtx']}, or {INSTALL['classic']} (for any GPU, to be built on it)"
    )


def _capabilities(library: Library, here: Gpu | None, targets: tuple[str, ...] | None) -> tuple[str, ...]:
    """Compute capabilities to build for."""
    if library.builder == "classic":
        assert here is not None
        if here.capability < OLDEST:
            raise InputError(f"the GPU here is {here}; TensorRT engines need compute capability 8.0; use --onnx")
        return (here.capability_text,)
    if targets is None:
        targets = RTX_TARGETS if here is None else (here.capability_text,)
    for target in targets:
        if target not in RTX_TARGETS:
            raise InputError(
                f"compute capability {target} is not one that {library.title} builds these networks for "
                f"({', '.join(RTX_TARGETS)}); install classic TensorRT where that GPU is: {INSTALL['classic']}"
            )
    return targets


def _check_precision(library: Library, precision: str) -> None:
    if library.builder == "rtx" and precision == "bf16":
        raise InputError(
            f"{library.title} does not compute these networks in bf16 (it has no such transposed convolutions); choose "
            f"--precision {' or '.join(RTX_PRECISIONS)}"
        )


def _outdated(path: Path, wanted: EngineRecord) -> str | None:
    """Why the file ``path`` has to be built again; None where it is the engine ``wanted``."""
    try:
        found, _ = read_engine(path)
    except InputError as error:
        return str(error)
    return ", ".join(found.differences(wanted)) or None


def build_engine(
    onnx: Path, library: Library, record: EngineRecord, *, capabilities: tuple[str, ...]
) -> tuple[bytes, Built]:
    """The serialised engine of the file ``onnx``, built by a child process. Raises InfgenError where that fails."""
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        job = Job(
            builder=record.builder,
            onnx=str(onnx),
            engine=str(Path(folder, "engine")),
            result=str(Path(folder, "result.json")),
            batch=record.batch,
            targets=capabilities,
            workspace_mb=record.workspace_mb,
            timings=str(timing_cache(library, record)) if record.builder == "classic" else None,
        )
        job.write(Path(folder, "job.json"))
        words = [sys.executable, "-P", "-m", "infgen.export.tensorrt_build", str(Path(folder, "job.json"))]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise InfgenError(f"{library.title} {_end(done.returncode)}: {_last_line(done.stderr)}")
        result = Result.read(Path(job.result))
        if result.error is not None and result.refused:
            raise InputError(result.error)
        if result.error is not None:
            raise InfgenError(f"{library.title} built nothing: {result.error[:_SHOWN]}")
        return Path(job.engine).read_bytes(), Built(result.layers, result.seconds)


def _end(code: int) -> str:
    return f"ended the process that builds by {signal.Signals(-code).name}" if code < 0 else f"failed with code {code}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_SHOWN] if lines else "no reason was given"


def timing_cache(library: Library, record: EngineRecord) -> Path:
    """Where classic TensorRT keeps what it measured on this GPU, so that the next build is quicker: the user's cache folder."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"tensorrt {library.version} {record.gpus[0]}")
    return folder / "infgen" / f"{name}.timings"

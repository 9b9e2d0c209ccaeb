"""Build TensorRT engines: the network for windows of one size, for the GPUs that will run it.

Uses classic TensorRT, with plugins for the epilogues, if it and a GPU are available. Otherwise uses TensorRT-RTX, which
builds without a GPU.
"""

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infgen.atomic import check_output, write_atomically
from infgen.cache import cache_folder
from infgen.engines.tensorrt_file import EngineRecord, pack, read_engine
from infgen.engines.tensorrt_library import INSTALL, Gpu, Library, find_gpu, find_library
from infgen.engines.tile_file import DEFAULT_BATCH, Precision, TileFile
from infgen.errors import InfgenError, InputError, MissingExtraError
from infgen.export.onnx import export_onnx
from infgen.export.tensorrt_build import BuildJob, BuildResult
from infgen.model.generator import Generator
from infgen.rendering.plan import MAX_BATCH
from infgen.version import __version__

# Compute capabilities of TensorRT-RTX. For 7.5 it has no float32 matrix products.
RTX_TARGETS = ("8.0", "8.6", "8.9", "12.0", "12.1")
RTX_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")  # TensorRT-RTX has no transposed convolutions in bf16
MIN_CAPABILITY = (8, 0)  # of the plugins
_MAX_REASON = 300  # characters of a message of TensorRT


@dataclass(frozen=True)
class BuildStats:
    """Layers of the network before TensorRT fuses them, and build time in seconds without the ONNX export."""

    layers: int
    seconds: float


@dataclass(frozen=True)
class EngineExport:
    """The engine in a file, and how it was built; None if the file was up to date."""

    record: EngineRecord
    stats: BuildStats | None

    def describe(self) -> str:
        """Format the engine and its build in one line."""
        build = (
            "up to date" if self.stats is None else f"{self.stats.layers} layers, built in {self.stats.seconds:.1f} s"
        )
        tiles = "one tile at a time" if self.record.batch == 1 else f"batches of 1 to {self.record.batch}"
        return f"{tiles}, {self.record.built_by} for GPU {', '.join(self.record.gpus)}; {build}"


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
    """Write an engine of ``generator`` to ``path``, complete or not at all. An up-to-date engine is kept.

    ``cells``, ``styles``, ``precision``, ``model_sha256``: as for ``export_onnx``. ``batch``: maximum number of tiles at once.
    ``workspace_mb``: maximum memory of one layer in MiB; None: TensorRT's choice. ``targets``: compute capabilities for
    TensorRT-RTX, such as "8.9"; None: the GPU of this machine, or all without a GPU. ``report`` gets a line with the
    differences if an existing file is rebuilt.
    Raises whatever ``export_onnx`` raises; MissingExtraError without any TensorRT; InputError for a value out of range, a GPU
    that is too old, or a precision that the GPU or TensorRT-RTX does not support; InfgenError if TensorRT fails.

    >>> from infgen import Generator
    >>> from infgen.export import export_tensorrt
    >>> from infgen.model.checkpoint import file_hash
    >>> generator = Generator.from_pretrained("tiny.safetensors")
    >>> sha256 = file_hash("tiny.safetensors")
    >>> export_tensorrt(generator, "tiny.engine", model_sha256=sha256, cells=(9, 9), batch=4).record.tile.tile_px
    (21, 21)
    """
    _check_options(batch, workspace_mb)
    library, gpu = choose_library(), find_gpu()
    capabilities = _capabilities(library, gpu, targets)
    _check_precision(library, precision)
    target = check_output(path, extensions=(".engine",))
    tile = TileFile(
        generator.config,
        cells,
        styles=styles,
        precision=precision,
        model_sha256=model_sha256,
        infgen_version=__version__,
    )
    gpus = (str(gpu),) if library.builder == "classic" else capabilities
    record = EngineRecord(
        tile, library.builder, version=library.version, gpus=gpus, batch=batch, workspace_mb=workspace_mb
    )
    if target.exists():
        differences = _find_differences(target, record)
        if differences is None:
            return EngineExport(record, None)
        report(f"{path} is rebuilt: {differences}")
    engine, stats = _build(generator, library, record, capabilities)
    with write_atomically(target) as temporary:
        temporary.write_bytes(pack(record, engine))
    return EngineExport(record, stats)


def _build(
    generator: Generator, library: Library, record: EngineRecord, capabilities: tuple[str, ...]
) -> tuple[bytes, BuildStats]:
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


def _check_options(batch: int, workspace_mb: int | None) -> None:
    if not 1 <= batch <= MAX_BATCH:
        raise InputError(f"batch {batch} is out of range; allowed are 1 to {MAX_BATCH}")
    if workspace_mb is not None and workspace_mb < 1:
        raise InputError(f"workspace {workspace_mb} MiB is out of range; give 1 or more, or leave it out")


def choose_library() -> Library:
    """Choose the TensorRT to build with. Raises MissingExtraError if none is installed, InputError if it needs a GPU."""
    classic, rtx = find_library("classic"), find_library("rtx")
    if classic is not None and find_gpu() is not None:
        return classic
    if rtx is not None:
        return rtx
    if classic is not None:
        raise InputError(
            f"{classic.title} builds on the GPU that will run the engine, and PyTorch finds none here; export on that machine, "
            f"or build without a GPU after: {INSTALL['rtx']}"
        )
    gpu = find_gpu()
    if gpu is not None and gpu.capability_text not in RTX_TARGETS:  # such as 9.0 and 10.0
        raise MissingExtraError(
            f"no TensorRT is installed, and TensorRT-RTX does not know {gpu}; run: {INSTALL['classic']}"
        )
    raise MissingExtraError(f"no TensorRT is installed; run: {INSTALL['rtx']}, or {INSTALL['classic']}")


def _capabilities(library: Library, gpu: Gpu | None, targets: tuple[str, ...] | None) -> tuple[str, ...]:
    """Choose the compute capabilities to build for."""
    if library.builder == "classic":
        assert gpu is not None
        if gpu.capability < MIN_CAPABILITY:
            raise InputError(
                f"the GPU here is {gpu}; TensorRT engines need compute capability 8.0 or later; use --onnx"
            )
        return (gpu.capability_text,)
    if targets is None:
        targets = RTX_TARGETS if gpu is None else (gpu.capability_text,)
    for target in targets:
        if target not in RTX_TARGETS:
            raise InputError(
                f"{library.title} does not build these networks for compute capability {target}; choose one of "
                f"{', '.join(RTX_TARGETS)}, or install classic TensorRT on the machine of that GPU: {INSTALL['classic']}"
            )
    return targets


def _check_precision(library: Library, precision: str) -> None:
    if library.builder == "rtx" and precision == "bf16":
        raise InputError(
            f"{library.title} does not support these networks in bf16 (it has no such transposed convolutions); choose "
            f"--precision {' or '.join(RTX_PRECISIONS)}"
        )


def _find_differences(path: Path, wanted: EngineRecord) -> str | None:
    """List the differences between the file ``path`` and the engine ``wanted``; None if there are none."""
    try:
        found, _ = read_engine(path)
    except InputError as error:
        return str(error)
    return ", ".join(found.differences(wanted)) or None


def build_engine(
    onnx: Path, library: Library, record: EngineRecord, *, capabilities: tuple[str, ...]
) -> tuple[bytes, BuildStats]:
    """Build the serialised engine of the file ``onnx`` in a child process. Raises InfgenError if that fails."""
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        job = BuildJob(
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
        command = [sys.executable, "-P", "-m", "infgen.export.tensorrt_build", str(Path(folder, "job.json"))]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise InfgenError(f"{library.title} {_describe_exit(done.returncode)}: {_last_line(done.stderr)}")
        result = BuildResult.read(Path(job.result))
        if result.error is not None and result.refused:
            raise InputError(result.error)
        if result.error is not None:
            raise InfgenError(f"{library.title} built nothing: {result.error[:_MAX_REASON]}")
        return Path(job.engine).read_bytes(), BuildStats(result.layers, result.seconds)


def _describe_exit(code: int) -> str:
    return f"ended the build process with {signal.Signals(-code).name}" if code < 0 else f"failed with code {code}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_MAX_REASON] if lines else "no reason was given"


def timing_cache(library: Library, record: EngineRecord) -> Path:
    """Path of classic TensorRT's timing cache for this GPU, in the user's cache folder. It makes the next build faster."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"tensorrt {library.version} {record.gpus[0]}")
    return cache_folder() / f"{name}.timings"

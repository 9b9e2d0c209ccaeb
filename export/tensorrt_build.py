"""Build one engine from an ONNX file, as the child process of ``infgen.export.tensorrt``.

``python -m infgen.export.tensorrt_build JOB.json``. TensorRT's parser ends the process on unknown input, so parse only in a
child process.
"""

import json
import sys
import time
from contextlib import suppress
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Self

from infgen.atomic import write_atomically
from infgen.engines.tensorrt_library import Builder, Library, make_logger, plugin_module, require_library
from infgen.errors import InfgenError, InputError
from infgen.export.functions import DOMAIN, MODULATION, OPERATORS
from infgen.limits import MIB


@dataclass(frozen=True, kw_only=True)
class BuildJob:
    """Build ``onnx`` for at most ``batch`` tiles, for GPUs of compute capabilities ``targets``, such as "8.9".

    Classic TensorRT builds for the GPU of this machine, whose capability is the only target. ``workspace_mb``: maximum
    memory of a layer in MiB; None: TensorRT's choice. ``timings``: path of classic TensorRT's timing cache, or None.
    """

    builder: Builder
    onnx: str
    engine: str
    result: str
    batch: int
    targets: tuple[str, ...]
    workspace_mb: int | None
    timings: str | None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        values = json.loads(path.read_text())
        return cls(**values | {"targets": tuple(values["targets"])})


@dataclass(frozen=True)
class BuildResult:
    """Result of a build: ``error`` in one line or None, layers of the network before TensorRT fuses them, and seconds.

    ``refused``: the error is in the input, not in TensorRT.
    """

    error: str | None
    _: KW_ONLY
    refused: bool = False
    layers: int = 0
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text()))


def build(job: BuildJob) -> BuildResult:
    """Build and write ``job.engine``. The result contains the error of TensorRT, if any."""
    library = require_library(job.builder, what="building an engine")
    if job.builder == "classic":
        _register_plugins(job.targets[0])
    log = make_logger(library)
    start = time.perf_counter()
    builder = library.module.Builder(log)
    strongly_typed = 1 << int(library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = library.module.OnnxParser(network, log)
    if not parser.parse(prepare_model(Path(job.onnx), plugins=job.builder == "classic")):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        return BuildResult(f"TensorRT cannot parse the network: {'; '.join(reasons)}")
    layers = network.num_layers
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, job.batch))
    cache = _configure(config, library, job)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return BuildResult(log.errors()[0] if log.errors() else "no reason was given")
    Path(job.engine).write_bytes(engine)
    if cache is not None:
        _save_timings(config.get_timing_cache().serialize(), Path(job.timings or ""))
    return BuildResult(None, layers=layers, seconds=time.perf_counter() - start)


def prepare_model(path: Path, *, plugins: bool) -> bytes:
    """Serialise the model of ``path`` for the parser: functions are inlined, except those with ``plugins``.

    The bodies of functions with plugins are removed, so that a missing plugin is an error and not a slower engine.
    """
    import onnx
    from onnx import inliner

    model = onnx.load(path)
    if not plugins:
        return bytes(inliner.inline_local_functions(model).SerializeToString())
    model = inliner.inline_selected_functions(model, [(DOMAIN, MODULATION.name)])
    kept = [f for f in model.functions if f.name not in {operator.name for operator in OPERATORS}]
    del model.functions[:]
    model.functions.extend(kept)
    return bytes(model.SerializeToString())


def _register_plugins(target: str) -> None:
    from infgen.export import tensorrt_plugins

    tensorrt_plugins.register(plugin_module(), capability=tensorrt_plugins.kernel_capability(target))


def _profile(builder: Any, network: Any, batch: int) -> Any:
    """Make a profile for batches of 1 to ``batch`` tiles, tuned for the full batch: the render loop pads its last one."""
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        size = tuple(tensor.shape)
        if -1 in size:
            one, maximum = (tuple(count if extent == -1 else extent for extent in size) for count in (1, batch))
            profile.set_shape(tensor.name, one, maximum, maximum)
    return profile


def _configure(config: Any, library: Library, job: BuildJob) -> Any:
    """Set the options of ``config``. Returns the timing cache, or None."""
    module = library.module
    config.clear_flag(module.BuilderFlag.TF32)  # TF32 has 11 significant bits, fp32 has 24
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # the inspector then lists plugins
    if job.workspace_mb is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, job.workspace_mb * MIB)
    if job.builder == "rtx":
        config.set_flag(module.BuilderFlag.REQUIRE_USER_ALLOCATION)  # required to capture CUDA graphs
        config.num_compute_capabilities = len(job.targets)
        for i, target in enumerate(job.targets):
            config.set_compute_capability(getattr(module.ComputeCapability, "SM" + target.replace(".", "")), i)
    if job.timings is None:
        return None
    path = Path(job.timings)
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)  # empty if the file does not match
    return cache


def _save_timings(timings: bytes, path: Path) -> None:
    """Write the timing cache, ignoring errors: it only saves time."""
    with suppress(InfgenError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_bytes(timings)


def main(path: str) -> None:
    """Run the job in the file ``path``. Errors are written to its result."""
    job = BuildJob.read(Path(path))
    try:
        result = build(job)
    except InfgenError as error:
        result = BuildResult(str(error), refused=isinstance(error, InputError))
    result.write(Path(job.result))


if __name__ == "__main__":
    main(sys.argv[1])

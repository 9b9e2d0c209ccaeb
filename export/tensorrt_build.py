"""One engine, built from an ONNX file: what the child process of ``infgen.export.tensorrt`` does.

``python -m infgen.export.tensorrt_build JOB.json``. TensorRT's parser ends the process when it meets what it does not know: never
parse where that matters.
"""

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from infgen.atomic import write_atomically
from infgen.engines.tensorrt_library import Builder, Library, make_logger, plugin_module, require_library
from infgen.errors import InfgenError, InputError
from infgen.export.functions import DOMAIN, MODULATION, OPERATORS
from infgen.limits import MIB


@dataclass(frozen=True)
class Job:
    """What is to be built: ``onnx`` for ``batch`` tiles at most, for GPUs of compute capability ``targets``, as "8.9".

    Classic TensorRT builds for the GPU here, whose capability is the one target. ``workspace_mb``: most memory of a layer,
    None for TensorRT's choice. ``timings``: a file in which classic TensorRT keeps what it measured, or None.
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
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What ``write`` wrote."""
        values = json.loads(path.read_text())
        return cls(**values | {"targets": tuple(values["targets"])})


@dataclass(frozen=True)
class Result:
    """What came of it: ``error`` in one line, or None; layers of the network before TensorRT joins them; seconds.

    ``refused``: the error is one of what was given, not of TensorRT.
    """

    error: str | None
    refused: bool = False
    layers: int = 0
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What ``write`` wrote."""
        return cls(**json.loads(path.read_text()))


def build(job: Job) -> Result:
    """Build and write ``job.engine``. The result names what TensorRT refused."""
    library = require_library(job.builder, what="building an engine")
    if job.builder == "classic":
        _register_plugins(job.targets[0])
    log = make_logger(library)
    start = time.perf_counter()
    builder = library.module.Builder(log)
    strongly = 1 << int(library.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly)
    parser = library.module.OnnxParser(network, log)
    if not parser.parse(prepared(Path(job.onnx), plugins=job.builder == "classic")):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        return Result(f"the network was not understood: {'; '.join(reasons)}")
    layers = network.num_layers
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, job.batch))
    cache = _configure(config, library, job)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return Result(log.errors()[0] if log.errors() else "no reason was given")
    Path(job.engine).write_bytes(engine)
    if cache is not None:
        _keep(config.get_timing_cache().serialize(), Path(job.timings or ""))
    return Result(None, layers=layers, seconds=time.perf_counter() - start)


def prepared(path: Path, *, plugins: bool) -> bytes:
    """The serialised model of ``path`` as a parser takes it: functions inlined, except those that ``plugins`` stand for.

    Their bodies are left out, so that a plugin that is not found is an error, not a slower engine.
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
    """Batches of 1 to ``batch`` tiles, tuned for the whole one: the render loop fills its last batch up."""
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        size = tuple(tensor.shape)
        if -1 in size:
            one, most = (tuple(count if extent == -1 else extent for extent in size) for count in (1, batch))
            profile.set_shape(tensor.name, one, most, most)
    return profile


def _configure(config: Any, library: Library, job: Job) -> Any:
    """Settings of ``config``; the timing cache, where there is one."""
    module = library.module
    config.clear_flag(module.BuilderFlag.TF32)  # fp32 is 24 bits; who wants fewer asks for fp16
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # the inspector then tells plugins
    if job.workspace_mb is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, job.workspace_mb * MIB)
    if job.builder == "rtx":
        config.set_flag(module.BuilderFlag.REQUIRE_USER_ALLOCATION)  # CUDA graphs cannot be captured without
        config.num_compute_capabilities = len(job.targets)
        for i, target in enumerate(job.targets):
            config.set_compute_capability(getattr(module.ComputeCapability, "SM" + target.replace(".", "")), i)
    if job.timings is None:
        return None
    known = Path(job.timings)
    cache = config.create_timing_cache(known.read_bytes() if known.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)  # it is empty where the file does not fit
    return cache


def _keep(timings: bytes, path: Path) -> None:
    """Write the timing cache where it can be written: it only saves time."""
    with suppress(InfgenError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_bytes(timings)


def main(path: str) -> None:
    """Do the job in the file ``path``; errors go into its result."""
    job = Job.read(Path(path))
    try:
        result = build(job)
    except InfgenError as error:
        result = Result(str(error), refused=isinstance(error, InputError))
    result.write(Path(job.result))


if __name__ == "__main__":
    main(sys.argv[1])

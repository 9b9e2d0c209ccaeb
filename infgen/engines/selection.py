"""Select and open the engine: PyTorch, a runtime for a file of ``infgen export``, or a server."""

from pathlib import Path
from typing import Literal, cast, get_args

from infgen.engines.eager import pick_device
from infgen.engines.exported import ExportedEngine
from infgen.engines.onnx import OnnxEngine, Provider
from infgen.errors import InputError

Kind = Literal["eager", "onnx", "trt", "triton"]
AUTO = "auto"
TRITON = "triton://"
NAMES = (AUTO, *get_args(Kind)[:-1], f"{TRITON}host:8001")  # for help and messages
SUFFIXES: dict[str, Kind] = {".onnx": "onnx", ".engine": "trt"}


def engine_kind(name: str, file: str | None, *, provider: str | None = None) -> Kind:
    """Return the kind of the engine ``name``. "auto" selects it by the extension of ``file``, and PyTorch without a file.

    Raises InputError for an unknown name, for a file that is superfluous or of another kind, and for a ``provider`` with
    an engine other than ONNX Runtime.
    """
    if name.startswith(TRITON):
        kind: Kind = "triton"
    elif name == AUTO:
        kind = "eager" if file is None else _kind_of(file)
    elif name in NAMES:
        kind = cast(Kind, name)
    else:
        raise InputError(f"engine {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if kind not in SUFFIXES.values() and file is not None:
        raise InputError(f"engine {name} takes no file, and --engine-file {file} is given; leave one of them out")
    if provider is not None and kind != "onnx":
        raise InputError(f"provider {provider} is given and the engine is not ONNX Runtime; leave --provider out")
    return kind


def _kind_of(file: str) -> Kind:
    suffix = Path(file).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"engine file {file} ends in {suffix!r}; allowed are {', '.join(SUFFIXES)}, or say which --engine runs it"
        )
    return SUFFIXES[suffix]


def open_exported(
    name: str,
    file: str | None,
    *,
    device: str | None,
    threads: int | None,
    provider: str | None,
    precision: str | None,
) -> ExportedEngine:
    """Open the engine ``name`` for the exported ``file`` on ``device`` (None: a GPU if available).

    ``provider``: of ONNX Runtime only; None selects that of the device. ``precision``: the expected one, None for any.
    Raises InputError if the engine cannot run here or has another precision.
    """
    kind = engine_kind(name, file, provider=provider)
    engine = _create_engine(kind, name, file, device=device, threads=threads, provider=provider)
    if precision not in (None, engine.precision):
        raise InputError(
            f"precision {precision} was given, and the file of engine {engine.name} has {engine.precision}; leave "
            "--precision out, or export it again"
        )
    return engine


def _create_engine(
    kind: Kind, name: str, file: str | None, *, device: str | None, threads: int | None, provider: str | None
) -> ExportedEngine:
    if kind == "triton":
        from infgen.engines.triton import TritonEngine

        return TritonEngine(name)
    assert file is not None
    where = pick_device(device)
    if kind == "trt":
        from infgen.engines.tensorrt import TensorRTEngine

        return TensorRTEngine(file, device_index=where.index or 0)
    if provider is None:
        provider = "cuda" if where.type == "cuda" else "cpu"
    return OnnxEngine(file, provider=cast(Provider, provider), threads=threads, device_index=where.index or 0)

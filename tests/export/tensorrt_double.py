"""A double of TensorRT and of PyTorch's CUDA, for machines without a GPU.

Its engines are ONNX files. ONNX Runtime computes in the memory whose addresses are set. As in TensorRT, addresses, shapes
and memory must be set before a context runs.
"""

import ctypes
import enum
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from infgen.engines import tensorrt as engine_module
from infgen.engines.onnx_file import read_onnx
from infgen.engines.tensorrt import TensorRTEngine
from infgen.engines.tensorrt_file import EngineRecord, pack
from infgen.engines.tensorrt_library import MODULES, Builder
from infgen.engines.tile_file import OUTPUT, Precision, TileFile
from infgen.model.checkpoint import file_hash
from infgen.model.config import GeneratorConfig
from tests.export.files import onnx_file, scaled_file, tiny_file, tiny_generator

VERSION = "1.2.3"
GPU_NAME, CAPABILITY = "Double", (8, 9)


@dataclass
class Machine:
    """The simulated machine: its limits and faults, and the order of its stream operations."""

    most: int = 1024  # tiles that fit its memory
    capturable: bool = True
    failing: bool = False
    events: list[str] = field(default_factory=list)
    contexts: list["Context"] = field(default_factory=list)
    graph: "Graph | None" = None  # that is being captured
    log: Any = None


class Graph:
    def __init__(self) -> None:
        self.launches: list[Callable[[], None]] = []

    def replay(self) -> None:
        for launch in self.launches:
            launch()


class Stream:
    cuda_stream = 7

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine, self._name = machine, name

    def wait_stream(self, other: "Stream") -> None:
        self._machine.events.append(f"{self._name} waits for {other._name}")

    def wait_event(self, event: Any) -> None:
        pass

    def synchronize(self) -> None:
        self._machine.events.append("waited")


class Event:
    def record(self, stream: Stream) -> None:
        pass

    def synchronize(self) -> None:
        pass


class Context:
    def __init__(self, engine: "Engine") -> None:
        self._engine, self._machine = engine, engine.machine
        self.shapes = {name: shape for name in engine.inputs if -1 not in (shape := engine.get_tensor_shape(name))}
        self.addresses: dict[str, int] = {}
        self.memory = 0
        self._machine.contexts.append(self)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return len(shape) == len(self._engine.get_tensor_shape(name))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.shapes["z_l"][0], *self._engine.outputs[name][1:])

    def update_device_memory_size_for_shapes(self) -> int:
        if self.shapes["z_l"][0] > self._machine.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1000

    def set_device_memory(self, memory: int, size: int) -> None:
        self.memory = size

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return self._machine.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == Stream.cuda_stream
        assert self.memory >= 1000
        if self._machine.failing:
            self._machine.log.log("ERROR", "the kernel\nwas refused")
            return False
        launch = self._compute
        if self._machine.graph is None:
            launch()
        else:
            self._machine.graph.launches.append(launch)
        return True

    def _compute(self) -> None:
        feed = {name: self._at(name, shape) for name, shape in self.shapes.items()}
        self._at(OUTPUT, self.get_tensor_shape(OUTPUT))[...] = self._engine.session.run([OUTPUT], feed)[0]

    def _at(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        memory = (ctypes.c_float * int(np.prod(shape))).from_address(self.addresses[name])
        return np.ctypeslib.as_array(memory).reshape(shape)


class Engine:
    def __init__(self, data: bytes, machine: Machine) -> None:
        self.machine = machine
        self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: each.shape for each in self.session.get_inputs()}
        self.outputs = {each.name: each.shape for each in self.session.get_outputs()}
        self._names = [*self.inputs, *self.outputs]
        self.num_io_tensors, self.num_layers = len(self._names), 2

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(extent if isinstance(extent, int) else -1 for extent in (self.inputs | self.outputs)[name])

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(set_execution_context_allocation_strategy=lambda strategy: None)

    def create_execution_context(self, how: Any) -> Context:
        return Context(self)

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_layer_information=lambda i, form: f"layer {i} {form}")


class ILogger:
    class Severity(enum.Enum):
        ERROR = "ERROR"
        INTERNAL_ERROR = "INTERNAL_ERROR"


def tensorrt_module(machine: Machine) -> ModuleType:
    """The double of ``tensorrt`` and ``tensorrt_rtx``."""

    class Runtime:
        def __init__(self, log: Any) -> None:
            machine.log = SimpleNamespace(log=lambda level, text: log.log(ILogger.Severity(level), text))

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            if data == b"bad":
                machine.log.log("ERROR", "the engine is not one")
                return None
            return Engine(data, machine)

    module = ModuleType("tensorrt")
    names = {
        "__version__": VERSION,
        "ILogger": ILogger,
        "Runtime": Runtime,
        "ExecutionContextAllocationStrategy": SimpleNamespace(USER_MANAGED="user"),
        "DynamicShapesKernelSpecializationStrategy": SimpleNamespace(EAGER="eager"),
        "LayerInformationFormat": SimpleNamespace(ONELINE="in a line"),
    }
    for name, value in names.items():
        setattr(module, name, value)
    return module


def install(patch: pytest.MonkeyPatch) -> Machine:
    """Replace both TensorRTs and PyTorch's CUDA by the double."""
    for styles in (1, 4):
        onnx_file(styles=styles)  # PyTorch's exporter would not work with the double
    machine = Machine()
    module = tensorrt_module(machine)
    for name in MODULES.values():
        patch.setitem(sys.modules, name, module)

    @contextmanager
    def capture(graph: Graph, **options: Any) -> Iterator[None]:
        machine.graph = graph
        yield
        machine.graph = None

    names = iter(("uploads", "computes"))
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda index: GPU_NAME,
        "get_device_capability": lambda index: CAPABILITY,
        "Stream": lambda device: Stream(machine, next(names)),
        "Event": Event,
        "CUDAGraph": Graph,
        "graph": capture,
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device: Stream(machine, "current"),
        "empty_cache": lambda: None,
    }
    for name, value in cuda.items():
        patch.setattr(torch.cuda, name, value)
    patch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    patch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    patch.setattr(engine_module, "cuda_device", lambda index: torch.device("cpu"))
    return machine


def record(
    *,
    builder: Builder = "rtx",
    version: str = VERSION,
    gpus: tuple[str, ...] = ("8.6", "8.9"),
    batch: int = 4,
    styles: int = 1,
    precision: Precision = "fp32",
    config: GeneratorConfig | None = None,
    tile: TileFile | None = None,
) -> EngineRecord:
    """A record of the tiny model's, or of ``tile``."""
    config = config or tiny_generator().config
    tile = tile or TileFile(
        config,
        (11, 11),
        styles=styles,
        precision=precision,
        model_sha256=file_hash(tiny_file()),
        infgen_version="0.1.0",
    )
    return EngineRecord(tile, builder, version=version, gpus=gpus, batch=batch, workspace_mb=None)


def engine_file(folder: Path, content: bytes | None = None, **what: Any) -> Path:
    """An engine file that the double runs."""
    path, made = folder / "tiny.engine", record(**what)
    data = onnx_file(styles=made.tile.styles).read_bytes() if content is None else content
    path.write_bytes(pack(made, data))
    return path


def double_engine(folder: Path, **what: Any) -> TensorRTEngine:
    """An engine on the double."""
    return TensorRTEngine(engine_file(folder, **what))


def scaled_double_engine(folder: Path, scale: str) -> TensorRTEngine:
    """An engine on the double for the six-level model at ``scale``."""
    tile, data = read_onnx(scaled_file(scale))
    path = folder / "scaled.engine"
    path.write_bytes(pack(record(tile=tile), data))
    return TensorRTEngine(path)

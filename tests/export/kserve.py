"""An inference server in this process: the open inference protocol over gRPC, in its official messages, before ONNX Runtime.

It reads a model repository as Triton does, checks requests against config.pbtxt as Triton does, and joins requests to batches.
"""

import atexit
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from infgen.engines.onnx_file import read_onnx
from infgen.engines.tile_file import TileFile
from infgen.engines.triton import TritonEngine
from infgen.export import triton_repository
from infgen.export.triton_repository import export_triton
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from tests.export.files import SCALED_STYLES, scaled_file, scaled_model, tiny_file, tiny_generator
from tests.model.scaled import CELLS, SCALES, halvings, network
from tests.shared_files import made_once

Arrays = dict[str, np.ndarray]


@dataclass
class Faults:
    """Simulated faults: remaining ``UNAVAILABLE`` answers, delay in s, an error with message, outputs of another shape."""

    unavailable: int = 0
    seconds: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    words: str = ""
    wrong_shape: bool = False


def read_config(folder: Path) -> Any:
    """Parse config.pbtxt of a model folder as Triton's own message; the default name is that of the folder."""
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    config.name = config.name or folder.name
    return config


class Model:
    """A model of the repository, and the thread that joins its requests."""

    def __init__(self, folder: Path) -> None:
        self.config = read_config(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", options, ["CPUExecutionProvider"])
        self._waiting: queue.SimpleQueue[tuple[Arrays, Future[np.ndarray]] | None] = queue.SimpleQueue()
        self.batches: list[int] = []  # tiles of each batch, in order
        self.most = self.config.max_batch_size  # tiles that are joined; 1 as without dynamic batching
        self.delay = self.config.dynamic_batching.max_queue_delay_microseconds / 1e6
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def refusal(self, inputs: Arrays) -> str | None:
        """Why Triton would not take ``inputs``."""
        for each in self.config.input:
            found = inputs.get(each.name)
            if found is None:
                return f"expected {len(self.config.input)} inputs but got {len(inputs)} inputs for model"
            if found.dtype != np.float32 or list(found.shape[1:]) != list(each.dims):
                return f"unexpected shape for input '{each.name}': expected [-1,{list(each.dims)}], got {list(found.shape)}"
            if found.shape[0] > self.config.max_batch_size:
                return f"inference request batch-size must be <= {self.config.max_batch_size}"
        unknown = inputs.keys() - {each.name for each in self.config.input}
        return f"unexpected inference input {sorted(unknown)}" if unknown else None

    def run(self, inputs: Arrays) -> np.ndarray:
        """The picture of one request, computed with others."""
        result: Future[np.ndarray] = Future()
        self._waiting.put((inputs, result))
        return result.result()

    def stop(self) -> None:
        self._waiting.put(None)
        self.thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            together, end = [first], time.monotonic() + self.delay
            while len(together) < self.most:
                try:
                    another = self._waiting.get(timeout=max(end - time.monotonic(), 0))
                except queue.Empty:
                    break
                if another is None:
                    self._waiting.put(None)
                    break
                together.append(another)
            self.batches.append(len(together))
            feed = {name: np.concatenate([inputs[name] for inputs, _ in together]) for name in first[0]}
            pictures = self._session.run(["rgb"], feed)[0]
            for i, (_, result) in enumerate(together):
                result.set_result(pictures[i : i + 1])


@dataclass
class Double(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The service. ``faults`` may be changed while it runs."""

    repository: Path
    faults: Faults = field(default_factory=Faults)
    models: dict[str, Model] = field(default_factory=dict)
    port: int = 0
    calls: list[str] = field(default_factory=list)  # models that were asked for a picture
    under_way: list[int] = field(default_factory=list)  # with each of these calls

    def __post_init__(self) -> None:
        self._lock, self._open = threading.Lock(), 0
        self.models = {folder.name: Model(folder) for folder in sorted(self.repository.iterdir())}

    @property
    def url(self) -> str:
        return f"triton://127.0.0.1:{self.port}"

    def ServerLive(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.models)

    def RepositoryIndex(self, request: Any, context: Any) -> Any:
        models = [{"name": name, "version": "1", "state": "READY"} for name in self.models]
        return service_pb2.RepositoryIndexResponse(models=models)

    def ModelConfig(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelConfigResponse(config=self._model(request.name, context).config)

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        config = self._model(request.name, context).config
        return service_pb2.ModelMetadataResponse(name=config.name, versions=["1"], platform=config.platform)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        with self._lock:
            self._open += 1
            self.calls.append(request.model_name)
            self.under_way.append(self._open)
        try:
            return self._infer(request, context)
        finally:
            with self._lock:
                self._open -= 1

    def _infer(self, request: Any, context: Any) -> Any:
        model, faults = self._model(request.model_name, context), self.faults
        if faults.unavailable:
            faults.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
        time.sleep(faults.seconds)
        if faults.words:
            context.abort(faults.code, faults.words)
        inputs = {
            each.name: np.frombuffer(content, np.float32).reshape(each.shape)
            for each, content in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        if refusal := model.refusal(inputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal)
        return answer(request, model.run(inputs)[..., int(faults.wrong_shape) :])

    def _model(self, name: str, context: Any) -> Model:
        if name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return self.models[name]


def answer(request: Any, picture: np.ndarray) -> Any:
    """The response that carries ``picture`` as the output asked for."""
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
    response.outputs.add(name=request.outputs[0].name, datatype="FP32", shape=picture.shape)
    response.raw_output_contents.append(picture.tobytes())
    return response


@contextmanager
def serving(repository: Path, *, most_bytes: int = 2**31 - 1, credentials: Any = None) -> Iterator[Double]:
    """Run a double of ``repository`` on a free local port, and stop it at the end."""
    server = grpc.server(
        ThreadPoolExecutor(16),
        options=[("grpc.max_receive_message_length", most_bytes), ("grpc.max_send_message_length", most_bytes)],
    )
    double = Double(repository)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(double, server)
    double.port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield double
    finally:
        server.stop(0).wait()
        for model in double.models.values():
            model.stop()


@cache
def tiny_repository(styles: int) -> Path:
    """A repository with the tiny model for tiles of 101 px, called "tiny". Not to be changed: copy it first."""

    def make(path: Path) -> None:
        path.mkdir()
        hashed = file_hash(tiny_file())
        export_triton(tiny_generator(), path, name="tiny", model_sha256=hashed, cells=(11, 11), styles=styles, batch=4)

    return made_once(f"triton-{styles}", make)


def scaled_name(scale: str) -> str:
    """Name of the six-level model at ``scale`` in ``scaled_repository``."""
    return f"halvings-{halvings(scale)}"


@cache
def scaled_repository() -> Path:
    """A repository with the six-level model at each of its scales, around the files of ``scaled_file``."""

    def make(path: Path) -> None:
        path.mkdir()
        for scale in SCALES:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(triton_repository, "export_onnx", partial(copy_file, scaled_file(scale)))
                export_triton(
                    network(scale),
                    path,
                    name=scaled_name(scale),
                    model_sha256=file_hash(scaled_model()),
                    cells=(CELLS[scale], CELLS[scale]),
                    styles=SCALED_STYLES,
                    batch=4,
                )

    return made_once("triton-scaled", make)


def copy_file(source: Path, generator: Generator, path: Path, **options: Any) -> TileFile:
    """Replace ``export_onnx`` by a copy of the file ``source``."""
    shutil.copy(source, path)
    file = read_onnx(path)[0]
    assert (file.config, file.styles_per) == (generator.config, options["styles_per"])
    return file


def _running(repository: Path) -> Double:
    """A double of ``repository`` that runs until the process ends.

    It draws tile by tile: which ones are joined is a matter of time, and so would be the last bits of a picture.
    """
    stack = ExitStack()
    atexit.register(stack.close)
    double = stack.enter_context(serving(repository))
    for model in double.models.values():
        model.most = 1
    return double


@cache
def _scaled_double() -> Double:
    return _running(scaled_repository())


@cache
def triton_engine(styles: int) -> TritonEngine:
    """An engine on a double of ``tiny_repository``."""
    return TritonEngine(_running(tiny_repository(styles)).url)


@cache
def scaled_triton_engine(scale: str) -> TritonEngine:
    """An engine on a double of ``scaled_repository``."""
    return TritonEngine(f"{_scaled_double().url}/{scaled_name(scale)}")

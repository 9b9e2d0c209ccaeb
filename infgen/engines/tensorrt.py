"""Run an engine file of ``infgen export --trt`` on an NVIDIA GPU.

The file fixes the window size. Batches may have any size, and are split into the batch size of the file.
"""

import threading
from pathlib import Path

import torch
from torch import Tensor

from infgen.engines.exported import ExportedEngine, Feed, OutOfDeviceMemory
from infgen.engines.tensorrt_file import EngineRecord, check_runs, read_engine
from infgen.engines.tensorrt_library import Library, cuda_device, find_gpu, make_logger, require_library
from infgen.engines.tensorrt_run import Runner
from infgen.engines.tile_file import OUTPUT
from infgen.errors import InputError, ModelFileError


class TensorRTEngine(ExportedEngine):
    """Runs the engine file ``path`` on GPU ``device_index``.

    Raises InputError without a GPU, or if the file was built for another GPU or by another version of TensorRT. Raises
    ModelFileError for a damaged or changed file, and MissingExtraError without the TensorRT that built it.
    """

    def __init__(self, path: str | Path, *, device_index: int = 0) -> None:
        path = Path(path)
        self._record, engine = read_engine(path)
        super().__init__(self._record.tile, f"engine file {path}")
        here = find_gpu(device_index)
        if here is None:
            raise InputError(
                f"{self._source} needs an NVIDIA GPU, and PyTorch sees none here; use --engine eager or onnx"
            )
        library = require_library(self._record.builder, what=self._source)
        check_runs(self._record, library, here, path=path)
        self._device = cuda_device(device_index)
        self._fitting = self._record.batch
        self._lock = threading.Lock()
        with torch.cuda.device(self._device):
            self._runner = self._deserialize(library, engine)

    def _deserialize(self, library: Library, engine: bytes) -> Runner:
        log = make_logger(library)
        self._runtime = library.module.Runtime(log)  # must live as long as the engine
        found = self._runtime.deserialize_cuda_engine(engine)
        if found is None:
            reason = (log.errors() or ["no reason was given"])[-1][:300]
            raise ModelFileError(f"{self._source} is not accepted by {library.title}: {reason}")
        names = {found.get_tensor_name(i) for i in range(found.num_io_tensors)}
        if not names - {OUTPUT} <= set(self._record.tile.input_names) or OUTPUT not in names:
            raise ModelFileError(f"{self._source} has other inputs than in its header; export it again")
        return Runner(library, found, self._device, log=log)

    @property
    def record(self) -> EngineRecord:
        """Record in the file, with the GPUs that it was built for."""
        return self._record

    @property
    def name(self) -> str:
        """Name of the engine: "trt" and the version of TensorRT."""
        return f"trt ({self._record.built_by})"

    @property
    def device(self) -> torch.device:
        """GPU that runs the engine."""
        return self._device

    @property
    def most_tiles(self) -> int:
        """Batch size of the file, or less after a lack of memory."""
        return self._fitting

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation: 4 for fp32, 2 for fp16 and bf16."""
        return 4 if self._file.precision == "fp32" else 2

    @property
    def layers(self) -> list[str]:
        """Descriptions of the engine's layers by TensorRT's inspector, one line each."""
        return self._runner.layers()

    @torch.inference_mode()
    def _run(self, feed: Feed, count: int) -> Tensor:
        with self._lock:
            try:
                return self._runner.run(feed, count)
            except OutOfDeviceMemory:
                self._fitting = max(1, count // 2)
                raise

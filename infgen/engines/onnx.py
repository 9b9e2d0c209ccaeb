"""Run an ONNX file of ``infgen export`` in ONNX Runtime, on a CPU or a GPU.

The file fixes the window size; batches may have any size. A file for K styles renders tiles with up to K styles.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from infgen.engines.exported import ExportedEngine, Feed, OutOfDeviceMemory
from infgen.engines.onnx_file import read_onnx
from infgen.engines.tile_file import OUTPUT
from infgen.errors import InputError, ModelFileError, one_line
from infgen.extras import require_extra

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_BEHIND: dict[Provider, tuple[Provider, ...]] = {"cpu": (), "cuda": (), "tensorrt": ("cuda",)}
_ERRORS_ONLY = 3  # ONNX Runtime's log levels: its warnings are about its own optimisations
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc")


class OnnxEngine(ExportedEngine):
    """Runs the ONNX file ``path``.

    ``provider``: cpu, cuda or tensorrt; ``device_index``: which GPU; ``threads``: CPU threads, None for all cores.
    Raises InputError if the provider does not start (ONNX Runtime alone would silently use another one) or does not
    support the file's precision. Raises ModelFileError for a damaged or changed file, and MissingExtraError without
    ``onnxruntime``.
    """

    def __init__(
        self, path: str | Path, *, provider: Provider = "cpu", threads: int | None = None, device_index: int = 0
    ) -> None:
        path = Path(path)
        if provider not in PROVIDERS:
            raise InputError(f"provider {provider!r} is unknown; choose one of {', '.join(PROVIDERS)}")
        file, data = read_onnx(path)
        if provider == "cpu" and file.precision == "bf16":
            raise InputError(
                f"ONNX file {path} is of precision bf16, which ONNX Runtime does not compute on a CPU; use provider cuda, "
                "or export the model with --precision fp32 or fp16"
            )
        self._provider: Provider = provider
        self._session = _session(data, path, provider, threads, device_index)
        super().__init__(file, f"ONNX file {path}")
        on_gpu = provider != "cpu" and torch.cuda.is_available()
        self._device = torch.device("cuda", device_index) if on_gpu else torch.device("cpu")

    @property
    def provider(self) -> str:
        """ONNX Runtime's name of the provider."""
        return PROVIDERS[self._provider]

    @property
    def name(self) -> str:
        """Name of the engine: "onnx-" and the provider."""
        return f"onnx-{self._provider}"

    @property
    def device(self) -> torch.device:
        """Preferred device of inputs: the GPU if PyTorch can use it."""
        return self._device

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation: 2 for fp16 and bf16 on a GPU, else 4. A CPU computes half precision in float32."""
        return 4 if self._file.precision == "fp32" or self._provider == "cpu" else 2

    def _run(self, feed: Feed, count: int) -> Tensor:
        try:
            rgb = self._session.run([OUTPUT], {name: tensor.cpu().numpy() for name, tensor in feed.items()})[0]
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
                raise OutOfDeviceMemory from None
            raise
        return torch.from_numpy(rgb)


def _session(data: bytes, path: Path, provider: Provider, threads: int | None, device_index: int) -> Any:
    """Open an ONNX Runtime session and check that it uses ``provider``."""
    with require_extra("cpu", f"ONNX file {path}", otherwise="pip install 'infgen[gpu]' on a machine with a GPU"):
        import onnxruntime
    name, available = PROVIDERS[provider], onnxruntime.get_available_providers()
    if name not in available:
        raise InputError(
            f"provider {provider} is not in this ONNX Runtime (it has {', '.join(available)}); use provider cpu, or replace "
            "onnxruntime by the one with GPUs: pip uninstall onnxruntime && pip install 'infgen[gpu]'"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads or 0
    on_gpu = {"device_id": str(device_index)}
    chain = [(PROVIDERS[p], {} if p == "cpu" else on_gpu) for p in (provider, *_BEHIND[provider])]
    try:
        session = onnxruntime.InferenceSession(data, options, providers=chain, enable_fallback=0)
    except Exception as error:  # of many kinds without a common base
        reason = one_line(error)
        raise ModelFileError(f"ONNX file {path} does not run with provider {provider}: {reason}") from None
    running = session.get_providers()
    if running[0] != name:
        raise InputError(
            f"provider {provider} did not start, ONNX Runtime would silently use {running[0]}; install the CUDA libraries that "
            "it needs (its lines above name them), or use provider cpu"
        )
    return session

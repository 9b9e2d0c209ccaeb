"""An engine that runs an ONNX file of ``infgen export`` in ONNX Runtime, on a CPU or a GPU.

Windows have the one size of the file; batches may have any. A file for K styles draws tiles that up to K styles reach.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.engines.onnx_file import OUTPUT, TileFile, read_sealed, stored_precision
from infgen.errors import InfgenError, InputError, MissingExtraError, ModelFileError
from infgen.model.config import GeneratorConfig
from infgen.world.geometry import STRUCTURE_HALO

Provider = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_BEHIND: dict[Provider, tuple[Provider, ...]] = {"cpu": (), "cuda": (), "tensorrt": ("cuda",)}
_ERRORS_ONLY = 3  # ONNX Runtime's log levels: its warnings are about its own optimisations
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc")

_SHARED = ("noise_strength", "z_g", "w_plus")  # inputs that all tiles of a batch share

Arrays = dict[str, npt.NDArray[np.float32]]


class OnnxEngine:
    """Runs the ONNX file ``path``.

    ``provider``: cpu, cuda or tensorrt; ``device_index``: which GPU; ``threads``: CPU threads, None for all cores.
    Raises InputError where the provider does not start (ONNX Runtime alone would silently use another one) or cannot
    compute in the file's precision, ModelFileError for a file that is damaged or was changed, and MissingExtraError
    without ``onnxruntime``.
    """

    def __init__(
        self, path: str | Path, *, provider: Provider = "cpu", threads: int | None = None, device_index: int = 0
    ) -> None:
        self._path = Path(path)
        if provider not in PROVIDERS:
            raise InputError(f"provider {provider!r} is unknown; choose one of {', '.join(PROVIDERS)}")
        data = read_sealed(self._path)
        if provider == "cpu" and stored_precision(data) == "bf16":
            raise InputError(
                f"ONNX file {self._path} is of precision bf16, which ONNX Runtime does not compute on a CPU; use provider cuda, "
                "or export the model with --precision fp32 or fp16"
            )
        self._provider: Provider = provider
        self._session = _session(data, self._path, provider, threads, device_index)
        self._file = TileFile.from_metadata(self._session.get_modelmeta().custom_metadata_map, self._path)
        on_gpu = provider != "cpu" and torch.cuda.is_available()
        self._device = torch.device("cuda", device_index) if on_gpu else torch.device("cpu")

    @property
    def file(self) -> TileFile:
        """What the file says about itself: model, window, styles, precision."""
        return self._file

    @property
    def fixed_cells(self) -> tuple[int, int]:
        """(rows, columns) of z_S in every window: the file has no other size."""
        return self._file.cells

    @property
    def provider(self) -> str:
        """ONNX Runtime's name of what computes."""
        return PROVIDERS[self._provider]

    @property
    def config(self) -> GeneratorConfig:
        """Sizes of the model."""
        return self._file.config

    @property
    def device(self) -> torch.device:
        """Where inputs are best made: the GPU, if PyTorch sees it, too."""
        return self._device

    @property
    def bytes_per_value(self) -> int:
        """4 for fp32, and on a CPU always, since it computes half precision in float32; 2 on a GPU for fp16 and bf16."""
        return 4 if self._file.precision == "fp32" or self._provider == "cpu" else 2

    def check(self, *, styles: int = 1, model_sha256: str | None = None) -> None:
        """Raise InputError where the file is not of the model ``model_sha256``, or cannot draw a world of ``styles`` styles.

        To be asked before work starts. How many styles reach a batch shows only when its inputs are made.
        """
        made_of = self._file.model_sha256
        if model_sha256 is not None and model_sha256 != made_of:
            raise InputError(
                f"ONNX file {self._path} was made from model {made_of[:12]}, not from {model_sha256[:12]}; export this model, or "
                "render with the one it was made from"
            )
        if styles > 1 and self._file.styles == 1:
            raise InputError(
                f"ONNX file {self._path} draws one style, the layout has {styles}; export the model with --styles K, for as many "
                "as reach one batch of tiles"
            )

    def render_float(self, batch: TileBatch) -> Tensor:
        """RGB (B, 3, H, W), float32, about [-1, 1], not clipped, on the CPU.

        Raises InputError for windows of another size or more styles than the file's, InfgenError where not even one tile
        fits the device's memory.
        """
        self._check(batch)
        feed = inputs(batch, styles=self._file.styles)
        return torch.from_numpy(self._run(feed, len(batch.z_l)))

    def _check(self, batch: TileBatch) -> None:
        expected = self.config.noise_shapes(self._file.cells)[-1]
        found = tuple(batch.noises[-1].shape[-2:])
        if found != expected:
            raise InputError(
                f"tiles of {found[0]} x {found[1]} px were asked of ONNX file {self._path}, which draws {expected[0]} x "
                f"{expected[1]} px; export the model with another --tile"
            )
        styles = batch.style.z_g.shape[0]
        if styles > self._file.styles:
            raise InputError(
                f"{styles} styles reach one batch of tiles, ONNX file {self._path} mixes {self._file.styles}; export the model "
                f"with --styles {styles}, or render with a smaller --batch"
            )

    def _run(self, feed: Arrays, count: int) -> npt.NDArray[np.float32]:
        """Run ``count`` tiles; where memory does not suffice, half of them at a time."""
        try:
            rgb: npt.NDArray[np.float32] = self._session.run([OUTPUT], feed)[0]
            return rgb
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            if not any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
                raise
        if count == 1:
            height, width = self._file.tile_px
            raise InfgenError(
                f"one tile of {height} x {width} px does not fit the memory of {self.provider}; export the model with a smaller "
                "--tile"
            )
        half = count // 2
        return np.concatenate(
            [self._run(_part(feed, 0, half), half), self._run(_part(feed, half, count), count - half)]
        )


def _part(feed: Arrays, start: int, stop: int) -> Arrays:
    return {name: array if name in _SHARED else array[start:stop] for name, array in feed.items()}


def inputs(batch: TileBatch, *, styles: int) -> Arrays:
    """``batch`` as the inputs of a file for ``styles`` styles, float32, by name.

    Where fewer styles reach the batch, its first one fills up the rest, at weight 0.
    """
    spare = styles - batch.style.z_g.shape[0]
    feed = {"z_l": batch.z_l, "coordinates": batch.coordinates, "noise_strength": torch.tensor(batch.noise_strength)}
    feed |= {f"noise_{i}": noise for i, noise in enumerate(batch.noises)}
    for name, rows in (("z_g", batch.style.z_g), ("w_plus", batch.style.w_plus)):
        feed[name] = torch.cat([rows, rows[:1].expand(spare, *rows.shape[1:])])
    if styles > 1:
        for name, shares in zip(("structure", *range(len(batch.noises))), _weights(batch), strict=True):
            nothing = shares.new_zeros(()).expand(shares.shape[0], spare, *shares.shape[2:])
            feed[f"weights_{name}"] = torch.cat([shares, nothing], dim=1)
    return {name: np.ascontiguousarray(t.detach().float().cpu().numpy()) for name, t in feed.items()}


def _weights(batch: TileBatch) -> Sequence[Tensor]:
    """Weights of all layers, structure first; of a batch of one style, 1 everywhere."""
    if batch.weights is not None:
        return (batch.weights.structure, *batch.weights.texture)
    cells = batch.z_l[..., STRUCTURE_HALO:-STRUCTURE_HALO, STRUCTURE_HALO:-STRUCTURE_HALO]
    return [torch.ones_like(plane[:, :1]) for plane in (batch.z_l, cells, *batch.noises[:-1])]


def _session(data: bytes, path: Path, provider: Provider, threads: int | None, device_index: int) -> Any:
    """An ONNX Runtime session in which ``provider`` really runs."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError(
            f"ONNX file {path} needs ONNX Runtime; run: pip install 'infgen[cpu]' (or 'infgen[gpu]' on a machine with a GPU)"
        ) from None
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
        reason = " ".join(str(error).split())[:300]
        raise ModelFileError(f"ONNX file {path} does not run with provider {provider}: {reason}") from None
    running = session.get_providers()
    if running[0] != name:
        raise InputError(
            f"provider {provider} did not start, ONNX Runtime would silently use {running[0]}; install the CUDA libraries that "
            "it needs (its lines above name them), or use provider cpu"
        )
    return session

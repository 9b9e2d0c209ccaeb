"""The reference engine: PyTorch on a CPU or a GPU. It folds one style into the weights, or mixes several over space."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.errors import InputError
from infgen.model.config import GeneratorConfig
from infgen.model.folded import FoldedGenerator, check_seamless, fold
from infgen.model.fused import FusedGenerator, Mixers, fuse, mixers
from infgen.model.generator import Generator, Style

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
KEPT_FOLDED = 4  # most folded networks in the cache; neighbouring tiles rarely need more
KEPT_MIXERS = 64  # most mixers in the cache, a few hundred kB each


def pick_device(name: str | None) -> torch.device:
    """Return the device ``name``; None selects a GPU if available, else the CPU. Raises InputError if it cannot be used."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = _device_reason(name, error)
        raise InputError(f"device {name!r} cannot be used here ({reason}); try --device cpu") from None
    return device


def _device_reason(name: str, error: Exception) -> str:
    """Say in one line why PyTorch cannot use the device ``name``."""
    if isinstance(error, NotImplementedError):  # PyTorch lists all its backends, and not what is wrong
        return f"this PyTorch was built without {name.partition(':')[0]}"
    return str(error).splitlines()[0]


_Value = TypeVar("_Value")


class _StyleCache(Generic[_Value]):
    """LRU cache of values computed from styles, which are compared by identity. Holds up to ``most`` values."""

    def __init__(self, most: int, make: Callable[[Style, float], _Value]) -> None:
        self._most, self._make = most, make
        self._entries: OrderedDict[tuple[int, float], tuple[Style, _Value]] = OrderedDict()

    def get(self, style: Style, noise_strength: float) -> _Value:
        key = id(style), noise_strength  # the entry holds the style, so that its id stays taken
        if key not in self._entries:
            self._entries[key] = style, self._make(style, noise_strength)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return self._entries[key][1]


class EagerEngine:
    """Runs ``generator`` with PyTorch. fp32 is the reference. bf16 halves memory and is faster if the hardware supports it."""

    def __init__(self, generator: Generator, *, precision: str = "fp32") -> None:
        if precision not in DTYPES:
            raise InputError(f"precision {precision!r} is unknown; choose one of {', '.join(DTYPES)}")
        check_seamless(generator.config)
        self._generator = generator
        self._precision = precision
        self._dtype = DTYPES[precision]
        self._folded: _StyleCache[FoldedGenerator] = _StyleCache(KEPT_FOLDED, self._fold)
        self._mixers: _StyleCache[Mixers] = _StyleCache(
            KEPT_MIXERS, lambda style, noise_strength: mixers(generator, style)
        )
        self._fused: tuple[float, FusedGenerator] | None = None

    def _fold(self, style: Style, noise_strength: float) -> FoldedGenerator:
        return fold(self._generator, style, noise_strength=noise_strength, dtype=self._dtype)

    def _fuse(self, noise_strength: float) -> FusedGenerator:
        if self._fused is None or self._fused[0] != noise_strength:
            network = fuse(self._generator, noise_strength=noise_strength, dtype=self._dtype)
            self._fused = noise_strength, network
        return self._fused[1]

    @property
    def config(self) -> GeneratorConfig:
        return self._generator.config

    @property
    def name(self) -> str:
        return "eager"

    @property
    def precision(self) -> str:
        """Type of weights and activations, "fp32" or "bf16"."""
        return self._precision

    @property
    def fixed_cells(self) -> None:
        """Always None: windows may have any size."""

    @property
    def device(self) -> torch.device:
        """Device of the model's weights."""
        return self._generator.mean_style.device

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one activation: 4 for fp32, 2 for bf16."""
        return self._dtype.itemsize

    def render_float(self, batch: TileBatch) -> Tensor:
        """Compute RGB (B, 3, H, W), float32, about [-1, 1], not clipped."""
        strength = batch.noise_strength
        if batch.weights is None:
            return self._folded.get(batch.style, strength)(batch.z_l, batch.coordinates, batch.noises)
        mixed = self._mixers.get(batch.style, strength)
        return self._fuse(strength)(batch.z_l, batch.coordinates, batch.noises, batch.weights, mixed)

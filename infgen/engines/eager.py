"""The reference engine: PyTorch, on a CPU or a GPU, with one style folded into the weights."""

from typing import Literal

import torch
from torch import Tensor

from infgen.engines.base import TileBatch
from infgen.errors import InputError
from infgen.model.config import GeneratorConfig
from infgen.model.folded import FoldedGenerator, check_seamless, fold
from infgen.model.generator import Generator, Style

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def pick_device(name: str | None) -> torch.device:
    """The device called ``name``, or a GPU where there is one, else the CPU. Raises InputError where it cannot be used."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used here ({reason}); try --device cpu") from None
    return device


class EagerEngine:
    """Runs ``generator`` with PyTorch. fp32 is the reference; bf16 halves memory and is faster where hardware has it."""

    def __init__(self, generator: Generator, *, precision: Precision = "fp32") -> None:
        if precision not in DTYPES:
            raise InputError(f"precision {precision!r} is unknown; choose one of {', '.join(DTYPES)}")
        check_seamless(generator.config)
        self._generator = generator
        self._dtype = DTYPES[precision]
        self._folded: tuple[Style, float, FoldedGenerator] | None = None

    @property
    def config(self) -> GeneratorConfig:
        """Sizes of the model."""
        return self._generator.config

    @property
    def device(self) -> torch.device:
        """Device of the model's weights."""
        return self._generator.mean_style.device

    @property
    def bytes_per_value(self) -> int:
        """4 for fp32, 2 for bf16."""
        return self._dtype.itemsize

    def _fold(self, batch: TileBatch) -> FoldedGenerator:
        """The folded network of the batch's style; consecutive batches of one world share it."""
        if self._folded is None or self._folded[0] is not batch.style or self._folded[1] != batch.noise_strength:
            folded = fold(self._generator, batch.style, noise_strength=batch.noise_strength, dtype=self._dtype)
            self._folded = (batch.style, batch.noise_strength, folded)
        return self._folded[2]

    def render_float(self, batch: TileBatch) -> Tensor:
        """RGB (B, 3, H, W), float32, about [-1, 1], not clipped."""
        return self._fold(batch)(batch.z_l, batch.coordinates, batch.noises)

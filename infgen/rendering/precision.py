"""Choose the precision of a render: bf16 where this machine computes it faster, and the picture stays near the fp32 one."""

import time
from dataclasses import dataclass
from typing import Literal

import torch

from infgen.engines import EagerEngine
from infgen.engines.base import TileBatch, to_pixels
from infgen.engines.tile_file import Precision
from infgen.model.config import PATCH_CELLS
from infgen.model.generator import Generator
from infgen.rendering.selftest import world_batch
from infgen.rendering.tile_inputs import TilePosition

PrecisionChoice = Precision | Literal["auto"]
AUTO_PRECISION: Literal["auto"] = "auto"
WORTH = 1.3  # least ratio of speeds for bf16
CLOSE_MEAN = 2.0  # largest mean difference of 255 for bf16
ROUNDS = 3


@dataclass(frozen=True)
class Comparison:
    """One patch of world 0 in both precisions: seconds in fp32 over seconds in bf16, and the mean difference of 255."""

    ratio: float
    difference: float

    @property
    def choice(self) -> Precision:
        """The precision to render with."""
        return "bf16" if self.ratio >= WORTH and self.difference <= CLOSE_MEAN else "fp32"

    def __str__(self) -> str:
        return f"precision {self.choice}: bf16 is {self.ratio:.1f} times as fast, mean difference {self.difference:.1f} of 255"


@torch.inference_mode()
def compare_precisions(generator: Generator) -> Comparison:
    """Compute a patch of world 0 with ``generator`` in fp32 and in bf16, in turn. The fastest of three rounds counts."""
    first_cell = TilePosition(-PATCH_CELLS // 2, -PATCH_CELLS // 2)
    batch = world_batch(generator, first_cell, (PATCH_CELLS, PATCH_CELLS))
    engines = EagerEngine(generator, precision="fp32"), EagerEngine(generator, precision="bf16")
    first, second = (to_pixels(engine.render_float(batch)).int() for engine in engines)  # warms up too
    rounds = [[_seconds(engine, batch) for engine in engines] for _ in range(ROUNDS)]
    slow, fast = (min(times) for times in zip(*rounds, strict=True))
    return Comparison(slow / fast, float((first - second).abs().float().mean()))


def _seconds(engine: EagerEngine, batch: TileBatch) -> float:
    start = time.perf_counter()
    engine.render_float(batch).cpu()  # a GPU has finished when the values are here
    return time.perf_counter() - start

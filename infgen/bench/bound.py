"""The upper bound of the rendering speed: the rate of the largest layer's plain convolution alone."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from infgen.model.config import GeneratorConfig
from infgen.rendering.cost import layer_costs
from infgen.rendering.plan import Plan


@dataclass(frozen=True)
class Convolution:
    """A convolution to time. ``run()`` returns when it is computed; ``flops`` counts its floating-point operations."""

    run: Callable[[], None]
    flops: int


def largest_convolution(
    plan: Plan, config: GeneratorConfig, *, dtype: torch.dtype, device: torch.device
) -> Convolution:
    """Build the network's largest plain convolution at the shape of the plan's batches: channels last, random values."""
    plain = [c for c in layer_costs(config, plan.cells) if c.name.startswith("texture") and c.read > c.written]
    cost = max(plain, key=lambda c: c.flops)
    source = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        values = torch.randn(shape, generator=source)
        return values.to(device, dtype).contiguous(memory_format=torch.channels_last)

    x, weight = random(plan.batch, cost.in_channels, *cost.read), random(cost.out_channels, cost.in_channels, 3, 3)

    @torch.inference_mode()
    def run() -> None:
        F.conv2d(x, weight)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return Convolution(run, plan.batch * cost.flops)

"""Stand-ins for tests: a feature network without weights, photographs without files, a fake torch-fidelity."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from tests.train.photos import landscape

PATCH_PX, VIEW_PX = 101, 197


@dataclass
class Colours:
    """Mean, deviation and mean horizontal step of each colour channel: nine features, no weights."""

    name: str = "vgg"
    key: str = "colours"
    width: int = 9
    calls: list[int] = field(default_factory=list)  # batch sizes seen

    def __call__(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        x = images.float() / 255
        steps = (x[..., 1:] - x[..., :-1]).abs()
        return torch.cat([x.mean((2, 3)), x.std((2, 3)), steps.mean((2, 3))], dim=1)


@lru_cache(maxsize=64)
def _landscape(seed: int, side: int) -> Tensor:
    return torch.from_numpy(landscape(seed, height=side, width=side))


@dataclass
class Landscapes:
    """Synthetic photographs. ``change`` is applied to every patch (3, H, W) uint8."""

    fingerprint: str = "landscapes"
    first: int = 0
    change: Callable[[Tensor], Tensor] = lambda patch: patch
    view_px: int = VIEW_PX
    patch_px: int = PATCH_PX

    def __len__(self) -> int:
        return 100

    def view(self, index: int) -> Tensor:
        return _landscape(self.first + index, self.view_px)

    def patch(self, sample: int, *, seed: int) -> tuple[Tensor, float]:
        rng, room, side = np.random.default_rng((seed, sample, self.first)), self.view_px - self.patch_px, self.patch_px
        top, left = rng.integers(0, room + 1, 2)
        patch = self.view(sample % len(self))[top : top + side, left : left + side].permute(2, 0, 1)
        return self.change(patch), float(2 * top / room - 1)


class TinyInception(nn.Module):
    """The interface of torch-fidelity's network on a handful of weights, 2048 features of means."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048"])
        self.mix = nn.Linear(3, 2048)
        self.fc = nn.Linear(2048, 1008)
        # As the library does: whatever the file holds is unpickled.
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        assert images.dtype == torch.uint8
        features: Tensor = self.mix(images.float().mean((2, 3)) / 255)
        return (features,)


def tiny_inception_state() -> dict[str, Tensor]:
    """Random weights for ``TinyInception``."""
    rng = torch.Generator().manual_seed(3)
    shapes = {"mix.weight": (2048, 3), "mix.bias": (2048,), "fc.weight": (1008, 2048), "fc.bias": (1008,)}
    return {name: torch.randn(shape, generator=rng) * 0.1 for name, shape in shapes.items()}

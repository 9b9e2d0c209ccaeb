"""The networks through which pictures are compared, behind one small protocol.

``vgg`` and ``effnet`` work offline; ``inception`` is the standard one, the only one whose distance is called FID.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.perceptual import hash_weights, vgg_trunk
from infgen.progress import Progress, silent
from infgen.train.evaluation.inception import InceptionFeatures
from infgen.train.networks import efficientnet

BATCH = 32  # pictures that pass through a network together; always the same, since libraries choose kernels by shape


class FeatureNetwork(Protocol):
    """Pictures -> one feature vector each. A picture's features depend on nothing but its pixels and the weights."""

    @property
    def name(self) -> str:
        """Name in metric names: ``vgg``, ``effnet`` or ``inception``."""

    @property
    def key(self) -> str:
        """Hash of the weights, hexadecimal: features of equal keys may be compared."""

    @property
    def width(self) -> int:
        """D, features per picture."""

    def __call__(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) uint8 -> features (B, D) float32."""


@dataclass(frozen=True)
class WeightFiles:
    """Local weight files; None means the usual place: torchvision's cache for VGG16, torch-fidelity's for Inception."""

    vgg: Path | None = None
    inception: Path | None = None


USUAL_FILES = WeightFiles()


def load_network(name: str, files: WeightFiles = USUAL_FILES, *, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The network ``name``. Raises InputError where the name is unknown or weights cannot be had, and where a package is
    missing (MissingExtraError) or a file is not what it should be (ModelFileError).
    """
    makers: Mapping[str, Callable[[], FeatureNetwork]] = {
        "vgg": lambda: VggFeatures(files.vgg, device=device),
        "effnet": lambda: EffNetFeatures(device=device),
        "inception": lambda: InceptionFeatures(files.inception, device=device),
    }
    if name not in makers:
        raise InputError(f"feature network {name!r} is unknown; choose one of {', '.join(makers)}")
    return makers[name]()


class VggFeatures:
    """VGG16 after convolutions 6, 9 and 12, averaged over space: 256 + 512 + 512 features (FD-VGG).

    The picture passes at its own size, normalised as for LPIPS. ``path`` and errors as in ``infgen.perceptual.vgg_trunk``.
    """

    name, width = "vgg", 1280

    def __init__(self, path: Path | None = None, *, device: torch.device | str = "cpu") -> None:
        self._trunk = vgg_trunk(path).to(device)
        self._device = torch.device(device)
        self.key = hash_weights(self._trunk)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) uint8, sides from 32 px -> (B, 1280) float32."""
        maps = self._trunk(images.to(self._device).float() / 127.5 - 1)
        return torch.cat([m.mean((2, 3)) for m in maps[2:]], dim=1).cpu()


class EffNetFeatures:
    """EfficientNet-Lite0 after its last convolution, averaged over space: 1280 features (FD-EffNet).

    The picture passes at its own size as (x - 127) / 128; the weights lie in the installed package. The projected
    discriminator sees earlier layers of the same network, so models trained with it are judged by another one.
    Raises MissingExtraError where the package is missing.
    """

    name, width = "effnet", 1280

    def __init__(self, *, device: torch.device | str = "cpu") -> None:
        network: Any = efficientnet.load("FD-EffNet")
        self._network = network.requires_grad_(False).to(device)
        self._device = torch.device(device)
        self.key = hash_weights(self._network)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) uint8 -> (B, 1280) float32."""
        x = (images.to(self._device).float() - 127) / 128
        features: Tensor = self._network.extract_features(x).mean((2, 3))
        return features.cpu()


def collect(
    images: Iterable[Tensor],
    networks: Iterable[FeatureNetwork],
    *,
    count: int,
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """Features of ``count`` pictures (3, H, W) uint8 of one size through every network: name -> (count, D) float32.

    Only one batch of pictures is in memory at a time. ``progress(pictures done, count)``.
    """
    networks = list(networks)
    features = {network.name: torch.empty(count, network.width) for network in networks}
    batch: list[Tensor] = []
    done = 0
    for image in images:
        batch.append(image)
        if len(batch) < BATCH and done + len(batch) < count:
            continue
        stacked = torch.stack(batch)
        for network in networks:
            features[network.name][done : done + len(batch)] = network(stacked)
        done += len(batch)
        batch = []
        progress(done, count)
        if done == count:
            return features
    raise ValueError(f"{done + len(batch)} pictures came, {count} were announced")

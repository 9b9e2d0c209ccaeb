"""Features of real patches, computed once and kept: photographs do not change between evaluations.

They lie in the cache folder, see ``infgen.cache``. A file that cannot be read is computed again.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.cache import cache_folder
from infgen.errors import InfgenError
from infgen.progress import Progress, silent
from infgen.train.evaluation.features import FeatureNetwork, collect

LAYOUT = 1  # part of every key; changes when what is computed for a key does

log = logging.getLogger(__name__)


class Photos(Protocol):
    """What evaluation needs of ``PhotoSet``."""

    @property
    def view_px(self) -> int:
        """Short side of a view."""

    @property
    def patch_px(self) -> int:
        """Side of a patch."""

    @property
    def fingerprint(self) -> str:
        """A name for exactly these photographs."""

    def __len__(self) -> int: ...

    def view(self, index: int) -> Tensor:
        """View ``index`` (H, W, 3) uint8, its short side ``view_px``."""

    def patch(self, sample: int, *, seed: int) -> tuple[Tensor, float]:
        """Patch (3, patch_px, patch_px) uint8 of sample number ``sample``, and its vertical position."""


def real_patches(photos: Photos, *, n: int, seed: int) -> Iterator[Tensor]:
    """``n`` random training patches (3, patch, patch) uint8: what training shows the discriminator, unaugmented."""
    for i in range(n):
        yield photos.patch(i, seed=seed)[0]


def real_features(
    photos: Photos,
    networks: Sequence[FeatureNetwork],
    *,
    n: int,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """Features (n, D) float32 of ``n`` random patches through each network, from the cache where they are in it."""
    names = {network.name: _file(photos, network, n=n, seed=seed) for network in networks}
    found = {network.name: _read(names[network.name], (n, network.width)) for network in networks}
    kept = {name: features for name, features in found.items() if features is not None}
    missing = [network for network in networks if network.name not in kept]
    if not missing:
        return kept
    fresh = collect(real_patches(photos, n=n, seed=seed), missing, count=n, progress=progress)
    for name, features in fresh.items():
        _write(names[name], features)
    return kept | fresh


def _file(photos: Photos, network: FeatureNetwork, *, n: int, seed: int) -> Path:
    identity = {
        "layout": LAYOUT,
        "photographs": photos.fingerprint,
        "view": photos.view_px,
        "patch": photos.patch_px,
        "n": n,
        "seed": seed,
        "network": network.name,
        "weights": network.key,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "evaluation" / f"{network.name}-{digest[:32]}.safetensors"


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Cached features of exactly ``shape``; None where there are none that can be used."""
    try:
        features = load_file(path)["features"]
    except (OSError, SafetensorError, KeyError):
        return None
    usable = features.shape == shape and features.dtype == torch.float32 and bool(torch.isfinite(features).all())
    return features if usable else None


def _write(path: Path, features: Tensor) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_bytes(serialize({"features": features}))
    except (OSError, InfgenError) as error:
        log.warning("features of the photographs are not kept for next time: %s", error)

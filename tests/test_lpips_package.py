"""Our LPIPS against the package ``lpips`` with the same trunk weights.

The package imports torchvision and scipy. Where they are missing, stand-ins serve for its import and give the layers of
the two trunks; scaling, heads, normalisation and averages are the package's own.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from infgen.perceptual import TRUNKS, Lpips, Network

if importlib.util.find_spec("lpips") is None:
    pytest.skip("lpips is not installed", allow_module_level=True)


def trunk_layers(network: Network) -> nn.Sequential:
    """The convolutions, ReLUs and pools in torchvision's order, with random weights."""
    spec, layers = TRUNKS[network], []
    inputs = (3, *spec.channels[:-1])
    for i, (before, after) in enumerate(zip(inputs, spec.channels, strict=True)):
        if i in spec.pools:
            layers.append(nn.MaxPool2d(spec.pool_px, 2))
        layers += [nn.Conv2d(before, after, spec.kernels[i], spec.strides[i], spec.padding(i)), nn.ReLU()]
    return nn.Sequential(*layers)


def stand_in(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def imports(name: str) -> bool:
    """Whether a package is there and fits this PyTorch."""
    try:
        importlib.import_module(name)
    except (ImportError, RuntimeError):
        return False
    return True


@pytest.fixture(scope="module")
def package() -> Iterator[Any]:
    """The package, imported with stand-ins for what is missing."""
    models = stand_in(
        "torchvision.models",
        alexnet=lambda pretrained: SimpleNamespace(features=trunk_layers("alex")),
        vgg16=lambda pretrained: SimpleNamespace(features=trunk_layers("vgg")),
    )
    ndimage = stand_in("scipy.ndimage", zoom=None)
    modules = {
        "torchvision": stand_in("torchvision", models=models),
        "torchvision.models": models,
        "scipy": stand_in("scipy", ndimage=ndimage),
        "scipy.ndimage": ndimage,
    }
    missing = {name for name in ("torchvision", "scipy") if not imports(name)}
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            if name.partition(".")[0] in missing:
                patch.setitem(sys.modules, name, module)
        import lpips

        yield lpips
    for name in [n for n in sys.modules if n.partition(".")[0] == "lpips"]:
        del sys.modules[name]


def theirs(package: Any, metric: Lpips, network: Network) -> nn.Module:
    """The package's metric with the trunk of ``metric``."""
    other: nn.Module = package.LPIPS(net=network, pnet_rand=True, verbose=False)
    convs = [m for m in other.net.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr]
    for conv, ours in zip(convs, metric.trunk.convs, strict=True):
        conv.load_state_dict(ours.state_dict())
    return other


def images() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(2, 3, 6, 7, generator=rng) * 2 - 1, (64, 72), mode="bilinear")
    return smooth, (smooth + 0.2 * torch.randn(smooth.shape, generator=rng)).clamp(-1, 1)


def test_shipped_alexnet_distances_are_those_of_the_package(package: Any) -> None:
    metric = Lpips.load("alex")
    a, b = images()
    with torch.no_grad():
        expected = theirs(package, metric, "alex")(a, b).flatten()
        torch.testing.assert_close(metric(a, b), expected, rtol=1e-3, atol=1e-5)  # heads are stored in float16


def test_vgg16_distances_are_those_of_the_package(package: Any) -> None:
    metric = Lpips("vgg")
    other = package.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    for i, head in enumerate(metric.heads):
        head.data = getattr(other, f"lin{i}").model[-1].weight.data.flatten()
    for conv in metric.trunk.convs:  # random weights that keep activations at one size
        nn.init.kaiming_normal_(conv.weight, generator=torch.Generator().manual_seed(1))
    a, b = images()
    with torch.no_grad():
        torch.testing.assert_close(metric(a, b), theirs(package, metric, "vgg")(a, b).flatten(), rtol=1e-4, atol=1e-6)


def test_shipped_heads_are_those_of_the_package(package: Any) -> None:
    metric = Lpips.load("alex")
    other = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for i, head in enumerate(metric.heads):
        expected = getattr(other, f"lin{i}").model[-1].weight.flatten()
        torch.testing.assert_close(head.data, expected.detach(), rtol=1e-3, atol=1e-7)

"""LPIPS, a perceptual distance (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018, version 0.1), and its two frozen networks.

The AlexNet version is part of the package; VGG16 comes from a local file or from torchvision's own cache. Weights are stored
in float16 and computed in float32; everything is differentiable in the images.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.error import URLError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB, MIB
from infgen.tensor_files import open_tensors
from infgen.torch_file import load_torch_file

Network = Literal["alex", "vgg"]

ASSETS = Path(__file__).parent / "assets"
ALEX_FILE = ASSETS / "lpips-alexnet-v0.1-fp16.safetensors"
VGG_HEADS_FILE = ASSETS / "lpips-vgg16-v0.1-heads-fp16.safetensors"
VGG_URL = (
    "https://download.pytorch.org/models/vgg16-397923af.pth"  # torchvision's, the usual one for FID and LPIPS code
)

MIN_PX = 32  # shortest side that AlexNet's last layers support
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # LPIPS input normalisation of images in [-1, 1]
EPSILON = 1e-10


@dataclass(frozen=True)
class TrunkSpec:
    """The convolutions of AlexNet or VGG16 that LPIPS uses, each with ReLU and the same padding rule.

    ``pools``: convolutions after a ``pool_px`` max-pool of stride 2. ``taps``: convolutions whose ReLU output
    is a feature map. ``official``: their numbers in torchvision's ``features``.
    """

    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    pools: frozenset[int]
    pool_px: int
    taps: tuple[int, ...]
    official: tuple[int, ...]

    def padding(self, i: int) -> int:
        """Return the zero padding of convolution ``i``: half the kernel, except 2 for AlexNet's first."""
        return min(2, self.kernels[i] // 2)


TRUNKS: Mapping[Network, TrunkSpec] = {
    "alex": TrunkSpec(
        channels=(64, 192, 384, 256, 256),
        kernels=(11, 5, 3, 3, 3),
        strides=(4, 1, 1, 1, 1),
        pools=frozenset({1, 2}),
        pool_px=3,
        taps=(0, 1, 2, 3, 4),
        official=(0, 3, 6, 8, 10),
    ),
    "vgg": TrunkSpec(
        channels=(64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        kernels=(3,) * 13,
        strides=(1,) * 13,
        pools=frozenset({2, 4, 7, 10}),
        pool_px=2,
        taps=(1, 3, 6, 9, 12),
        official=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ),
}


class Trunk(nn.Module):
    """A frozen ImageNet network as a list of feature maps."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__()
        self.spec = spec
        inputs = (3, *spec.channels[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, kernel, stride, spec.padding(n))
            for n, (i, o, kernel, stride) in enumerate(
                zip(inputs, spec.channels, spec.kernels, spec.strides, strict=True)
            )
        )
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)
        self.requires_grad_(False)
        for weight in (p for p in self.parameters() if p.ndim == 4):  # the fastest layout of CPU kernels
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] -> the tapped feature maps (B, C_l, H_l, W_l), after their ReLU.

        Raises ValueError if the images are not RGB or a side is under 32 px.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < MIN_PX:
            raise ValueError(
                f"images have shape {tuple(images.shape)}; allowed is (B, 3, H, W), sides from {MIN_PX} px"
            )
        x = ((images.float() - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        maps = []
        for i, conv in enumerate(self.convs):
            if i in self.spec.pools:
                x = F.max_pool2d(x, self.spec.pool_px, 2)
            x = F.relu(conv(x))
            if i in self.spec.taps:
                maps.append(x)
        return maps


class Lpips(nn.Module):
    """LPIPS 0.1: weighted squared differences of unit feature vectors, averaged over space, summed over layers (Eq. 1)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        spec = TRUNKS[network]
        self.trunk = Trunk(spec)
        self.heads = nn.ParameterList(torch.zeros(spec.channels[i]) for i in spec.taps)
        self.requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images ``a`` and ``b`` (B, 3, H, W) in [-1, 1] -> distances (B,): 0 for equal images, about 1 for dissimilar ones.

        Raises ValueError if the shapes differ, or as ``Trunk`` does.
        """
        if a.shape != b.shape:
            raise ValueError(f"images have shapes {tuple(a.shape)} and {tuple(b.shape)}; they must be equal")
        return self.between(self.trunk(a), self.trunk(b))

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Return distances (B,) of feature maps of ``trunk``, so that a fixed image passes through it only once."""
        layers = zip(self.heads, a, b, strict=True)
        return torch.stack([_layer_distance(head, x, y) for head, x, y in layers]).sum(0)

    @classmethod
    def load(cls, network: Network = "alex", path: str | Path | None = None) -> Self:
        """Load the metric on ``network``. ``path`` None: the shipped AlexNet; for VGG16, torchvision's own cache.

        ``path``: a safetensors file of ``trunk.conv<i>.weight``, ``.bias`` and ``head<i>``, or torchvision's state
        dictionary of the network, to which the shipped heads are added. Raises InputError if weights are unavailable,
        ModelFileError for any other file.
        """
        metric = cls(network)
        weights, source = _weights(network, path)
        _fill_trunk(metric.trunk, weights, source=source)
        if "head0" not in weights:
            shipped = ALEX_FILE if network == "alex" else VGG_HEADS_FILE
            weights, source = read_weights(shipped), str(shipped)
        for i, head in enumerate(metric.heads):
            head.copy_(_tensor(weights, f"head{i}", head.shape, source=source))
        return metric.eval()


def _layer_distance(head: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) of one layer -> (B,)."""
    difference = (_unit(a) - _unit(b)).square()
    return (difference * head[:, None, None]).sum(1).mean((1, 2))


def _unit(x: Tensor) -> Tensor:
    """Normalise along channels. The epsilon is under the root, so that zero vectors have gradient 0, not NaN."""
    return x / (x.square().sum(1, keepdim=True) + EPSILON**2).sqrt()


def vgg_trunk(path: str | Path | None = None) -> Trunk:
    """Load the VGG16 trunk of LPIPS. ``path`` and errors as in ``Lpips.load``."""
    trunk = Trunk(TRUNKS["vgg"])
    weights, source = _weights("vgg", path)
    _fill_trunk(trunk, weights, source=source)
    return trunk.eval()


def _weights(network: Network, path: str | Path | None) -> tuple[Mapping[str, Tensor], str]:
    """Read weights. Returns (tensors, their source for messages)."""
    if path is not None:
        return read_weights(Path(path)), str(path)
    if network == "alex":
        return read_weights(ALEX_FILE), str(ALEX_FILE)
    return fetch_weights(VGG_URL, what="VGG16", option="--vgg-weights"), VGG_URL


def fetch_weights(url: str, *, what: str, option: str) -> Mapping[str, Tensor]:
    """Load the state dictionary at ``url`` from PyTorch's cache, or download it, without running code in it.

    Raises InputError, which names ``what`` and the ``option`` for a local file, if both fail.
    """
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"{what} weights are not in {torch.hub.get_dir()} and cannot be downloaded from {url} "
            f"({_first_line(error)}); get the file elsewhere and give it with {option} PATH"
        ) from None


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a safetensors file or a PyTorch state dictionary without running code.

    Raises ModelFileError if the file is missing, too large, damaged or of another kind.
    """
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_MB.value() * MIB:
            raise ModelFileError(
                f"weights {path} have {size} bytes, over the limit of {MAX_MODEL_MB.value()} MiB ({MAX_MODEL_MB.name})"
            )
        with path.open("rb") as file:
            head = file.read(9)
        if head.endswith(b"{"):  # safetensors: eight bytes of length, then JSON
            with open_tensors(path) as tensors:
                return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118  # not a mapping
        data = load_torch_file(path)
    except OSError as error:
        raise ModelFileError(f"weights {path} cannot be read ({error.strerror}); give an existing file") from None
    except ModelFileError:
        raise
    except InputError as error:
        raise ModelFileError(f"weights {error}") from None
    except SafetensorError as error:
        raise ModelFileError(
            f"weights {path} are no safetensors file ({_first_line(error)}); give the right file"
        ) from None
    except Exception as error:  # torch raises many kinds for damaged files, and for ones that hold more than tensors
        raise ModelFileError(
            f"weights {path} are no state dictionary of tensors ({_first_line(error)}); give the right file"
        ) from None
    if not isinstance(data, dict) or not all(isinstance(t, Tensor) for t in data.values()):
        raise ModelFileError(f"weights {path} are no state dictionary of tensors; give the right file")
    return data


def hash_weights(*modules: nn.Module) -> str:
    """SHA-256 of all parameters and buffers of ``modules``, in hexadecimal."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _fill_trunk(trunk: Trunk, weights: Mapping[str, Tensor], *, source: str) -> None:
    for i, (conv, number) in enumerate(zip(trunk.convs, trunk.spec.official, strict=True)):
        ours = f"trunk.conv{i}"
        prefix = ours if f"{ours}.weight" in weights else f"features.{number}"
        for name, parameter in conv.named_parameters():
            parameter.copy_(_tensor(weights, f"{prefix}.{name}", parameter.shape, source=source))


def _tensor(weights: Mapping[str, Tensor], name: str, shape: torch.Size, *, source: str) -> Tensor:
    if name not in weights:
        raise ModelFileError(f"weights {source} lack the tensor {name!r}; give the file of the right network")
    tensor = weights[name]
    if tensor.shape != shape or not tensor.is_floating_point():
        raise ModelFileError(
            f"weights {source}: {name} is {tensor.dtype} {tuple(tensor.shape)}, needed are floats {tuple(shape)}; "
            "give the file of the right network"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise ModelFileError(f"weights {source}: {name} holds values that are not finite; get the file again")
    return tensor


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

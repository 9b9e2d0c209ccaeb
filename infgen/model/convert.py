"""Convert released InfinityGAN checkpoints (``.pth.tar``), with the configuration deduced from the tensors."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infgen.errors import InputError, ModelFileError
from infgen.limits import MAX_MODEL_MB
from infgen.model.config import COORDINATE_CHANNELS, CoordinateSystem, GeneratorConfig
from infgen.model.generator import Generator, tensor_shapes
from infgen.model.structure import KERNEL, LAYERS
from infgen.model.texture import MAPPING_LAYERS
from infgen.torch_file import load_torch_file

NETWORKS = ("g_ema", "g")
_STRUCTURE = "structure_synthesizer.implicit_model.conv_stack"
_TEXTURE = "texture_synthesizer"
# Stored by the official code but unused by the network: test-time noise images, a constant input, filter kernels.
_UNUSED = re.compile(
    rf"{_TEXTURE}\.(const_z\.input|noises\.noise_\d+|convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel)|.*tmp_var.*"
)


class _Ignored:
    """Placeholder for NumPy numbers, which some versions of the official code store (FID)."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


_NUMPY_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, name) for name in ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
]


def convert(path: str | Path, *, network: str = "g_ema") -> Generator:
    """Read the generator ``network`` ("g_ema" or "g") of a released checkpoint, ready to render and to save.

    Uses ``weights_only=True``, which runs no code of the file. Raises ModelFileError for any other file, InputError for a
    missing file or an unknown ``network``.
    """
    if network not in NETWORKS:
        raise InputError(f"network {network!r} is unknown; choose one of {', '.join(NETWORKS)}")
    state = _read(Path(path), network)
    config = deduce_config(state)
    tensors = rename(state, config)
    with torch.device("meta"):
        generator = Generator(config)
    generator.load_state_dict({**tensors, "mean_style": torch.zeros(config.global_channels)}, assign=True)
    generator.eval().requires_grad_(False)
    generator.update_mean_style()
    return generator


def _read(path: Path, network: str) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist; give a released .pth.tar file")
    size, limit = path.stat().st_size, MAX_MODEL_MB.value()
    if size > limit * 2**20:
        raise ModelFileError(f"checkpoint {path} has {size} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMPY_NUMBERS):
            warnings.simplefilter("ignore")  # about pickle protocols
            content: Any = load_torch_file(path)
    except InputError as error:
        raise ModelFileError(f"checkpoint {error}") from None
    except Exception as error:  # torch raises many kinds for damaged or foreign files, and advises to drop the guard
        raise ModelFileError(
            f"checkpoint {path} is damaged, or holds more than plain tensors and could run code "
            f"({type(error).__name__}); get it again from its source"
        ) from None
    state = content.get(network) if isinstance(content, dict) else None
    named = isinstance(state, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not isinstance(state, Mapping) or not named:
        raise ModelFileError(f"checkpoint {path} has no {network} network; it is not a released InfinityGAN checkpoint")
    needed = 4 * sum(tensor.numel() for tensor in state.values())  # a tensor can be a small storage, repeated
    if needed > limit * 2**20:
        raise ModelFileError(
            f"checkpoint {path} expands to {needed} bytes, over the limit of {limit} MiB ({MAX_MODEL_MB.name})"
        )
    return state


def deduce_config(state: Mapping[str, Tensor]) -> GeneratorConfig:
    """Deduce the configuration from tensor shapes of an official generator. Raises ModelFileError for other networks."""
    pattern = re.compile(rf"{re.escape(_TEXTURE)}\.convs\.(\d+)\.conv\.weight")
    convs = sorted(int(m[1]) for key in state if (m := pattern.fullmatch(key)))
    if not convs or convs != list(range(len(convs))) or len(convs) % 2:
        raise ModelFileError(
            f"checkpoint has texture convolutions {convs}; an InfinityGAN generator has 0, 1, ... in pairs"
        )
    first = _shape(state, f"{_STRUCTURE}.0.conv.conv.weight", 5)
    coordinate_channels = first[2] - first[1]
    systems: dict[int, CoordinateSystem] = {3: "scenery", 4: "texture", 1: "object"}
    assert {v: k for k, v in COORDINATE_CHANNELS.items()} == systems
    if coordinate_channels not in systems or first[3:] != (KERNEL, KERNEL):
        raise ModelFileError(f"checkpoint's first structure layer has shape {first}, which no InfinityGAN preset has")
    try:
        return GeneratorConfig(
            texture_channels=tuple(_shape(state, f"{_TEXTURE}.convs.{i}.conv.weight", 5)[1] for i in convs),
            local_channels=first[1],
            global_channels=_shape(state, f"{_TEXTURE}.mapping.1.weight", 2)[0],
            coordinates=systems[coordinate_channels],
        )
    except ModelFileError:
        raise
    except InputError as error:
        raise ModelFileError(f"checkpoint: {error}") from None


def _shape(state: Mapping[str, Tensor], key: str, dims: int) -> tuple[int, ...]:
    if key not in state:
        raise ModelFileError(f"checkpoint lacks {key}; it is not a released InfinityGAN generator")
    if state[key].dim() != dims:
        raise ModelFileError(f"checkpoint's {key} has shape {tuple(state[key].shape)}; {dims} dimensions are needed")
    return tuple(state[key].shape)


def _modulated_names(official: str, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{official}.weight", f"{ours}.weight"
    yield f"{official}.modulation.weight", f"{ours}.modulation.weight"
    yield f"{official}.modulation.bias", f"{ours}.modulation.bias"


def official_names(config: GeneratorConfig) -> Iterator[tuple[str, str]]:
    """Yield pairs (official name, our name) of all tensors."""
    for i in range(LAYERS):
        official, ours = f"{_STRUCTURE}.{i}.conv", f"structure.layers.{i}"
        yield from _modulated_names(f"{official}.conv", f"{ours}.conv")
        yield f"{official}.activate.bias", f"{ours}.bias"
    for i in range(MAPPING_LAYERS):
        for part in ("weight", "bias"):
            yield f"{_TEXTURE}.mapping.{i + 1}.{part}", f"mapping.layers.{i}.{part}"
    for i in range(len(config.texture_channels)):
        official, ours = f"{_TEXTURE}.convs.{i}", f"texture.convs.{i}"
        yield from _modulated_names(f"{official}.conv", f"{ours}.conv")
        yield f"{official}.noise.weight", f"{ours}.noise_strength"
        yield f"{official}.activate.bias", f"{ours}.bias"
    for i in range(config.levels):
        official, ours = f"{_TEXTURE}.to_rgbs.{i}", f"texture.to_rgbs.{i}"
        yield from _modulated_names(f"{official}.conv", f"{ours}.conv")
        yield f"{official}.bias", f"{ours}.bias"


def rename(state: Mapping[str, Tensor], config: GeneratorConfig) -> dict[str, Tensor]:
    """Rename and reshape official tensors (the official code keeps leading dimensions of size one).

    Raises ModelFileError for a missing or unknown tensor, a wrong shape, or values that are not finite.
    """
    names = dict(official_names(config))
    unknown = sorted(repr(key[:100]) for key in state if key not in names and not _UNUSED.fullmatch(key))
    missing = sorted(set(names) - set(state))
    if unknown or missing:
        raise ModelFileError(
            f"checkpoint is no released InfinityGAN generator: {len(missing)} tensors missing, {len(unknown)} unknown "
            f"(first: {(missing + unknown)[0]})"
        )
    shapes = tensor_shapes(config)
    tensors = {}
    for official, ours in names.items():
        tensor = state[official]
        squeezed = tuple(d for d in tensor.shape if d != 1)
        if squeezed != tuple(d for d in shapes[ours] if d != 1):
            raise ModelFileError(f"checkpoint's {official} has shape {tuple(tensor.shape)}; needed is {shapes[ours]}")
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
            kind = f"{tensor.dtype}, {tensor.layout}, {tensor.device.type}"
            raise ModelFileError(f"checkpoint's {official} has type {kind}; plain floating-point numbers are needed")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"checkpoint's {official} holds values that are not finite numbers; get it again")
        tensors[ours] = tensor.float().reshape(shapes[ours]).clone()
    return tensors

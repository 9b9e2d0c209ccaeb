"""Networks for tests: random parameters, the weights of the official numbers, random inputs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from infgen import geometry
from infgen.model.config import GeneratorConfig
from infgen.model.convert import deduce_config, rename
from infgen.model.generator import Generator
from tests import oracle


def random_generator(config: GeneratorConfig, *, seed: int) -> Generator:
    """A generator in evaluation mode whose every parameter is random and not zero: biases and noise strengths, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(config)
        for name, parameter in generator.named_parameters():
            if name.endswith("bias"):
                spread = 10.0 if name.startswith("mapping") else 0.3  # biases of the mapping network count a hundredth
                parameter.data.add_(spread * torch.randn_like(parameter))
            elif name.endswith("noise_strength"):
                parameter.data.add_(0.2 + 0.3 * torch.rand(()))
    generator.update_mean_style()
    return generator.eval().requires_grad_(False)


def tensor(data: Mapping[str, oracle.Array], key: str) -> Tensor:
    """Copy entry ``key`` of an oracle to a tensor."""
    return torch.from_numpy(np.array(data[key]))


def read_weights(data: Mapping[str, oracle.Array], prefix: str = "sd/") -> dict[str, Tensor]:
    """The official state_dict in an oracle."""
    return {key.removeprefix(prefix): tensor(data, key) for key in data if key.startswith(prefix)}


def official_generator() -> Generator:
    """The reduced generator of the official numbers, with its weights."""
    state = read_weights(oracle.load("generator_small"))
    config = deduce_config(state)
    generator = Generator(config)
    generator.load_state_dict({**rename(state, config), "mean_style": torch.zeros(config.global_channels)})
    return generator.eval().requires_grad_(False)


def random_inputs(
    config: GeneratorConfig, *, cells: int, batch: int = 1, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """z_g (B, D), z_l (B, C, n+24, n+24), coordinates (B, K, n+24, n+24) and noises for tiles of ``cells`` cells."""
    rng = torch.Generator().manual_seed(seed)
    side = cells + 2 * geometry.STRUCTURE_HALO
    return (
        torch.randn(batch, config.global_channels, generator=rng),
        torch.randn(batch, config.local_channels, side, side, generator=rng),
        torch.rand(batch, config.coordinate_channels, side, side, generator=rng) * 2 - 1,
        [torch.randn(batch, 1, *shape, generator=rng) for shape in config.noise_shapes((cells, cells))],
    )


def psnr(image: Tensor, reference: Tensor) -> float:
    """Peak signal to noise ratio in dB, for a peak-to-peak range of 2."""
    return float(10 * torch.log10(4 / (image - reference).square().mean()))

"""State of a run between steps: networks, EMA, optimisers, and running statistics."""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from infgen.model.generator import Generator
from infgen.train.networks.discriminator import Discriminator, PaperDiscriminator
from infgen.train.presets import Recipe


@dataclass(kw_only=True)
class TrainingState:
    """All values that a run carries from one step to the next."""

    generator: Generator
    ema: Generator  # exponential moving average of the generator's parameters
    discriminators: nn.ModuleList  # one ``Discriminator`` per trained scale, coarsest first
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    path_mean: Tensor  # running mean of path lengths, (scales,)
    augment_p: list[float]  # ADA's probability of each scale
    real_sign: list[float]  # ADA: sum of r_t since the last adjustment, of each scale
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)  # "value" and "step" of the best measured model


def lazy_adam(module: nn.Module, rate: float, *, every: int | None) -> torch.optim.Adam:
    """Make Adam with betas (0, 0.99), corrected for a regulariser that runs every ``every`` steps (StyleGAN2, Section 3.1).

    ``every``: None without a regulariser. The group keeps the learning rate before decay as "initial_lr".
    """
    ratio = 1.0 if every is None else every / (every + 1)
    trained = [p for p in module.parameters() if p.requires_grad]
    group = {"params": trained, "initial_lr": rate * ratio}
    return torch.optim.Adam([group], lr=rate * ratio, betas=(0.0, 0.99**ratio), fused=True)


def build_discriminators(recipe: Recipe) -> list[Discriminator]:
    """Build a discriminator with random weights for each scale of ``recipe``. Projected ones share their frozen networks."""
    if recipe.discriminator == "paper":
        width, group = recipe.discriminator_width, recipe.micro_batch_size
        return [PaperDiscriminator(scale.patch_px, width=width, group=group) for scale in recipe.trained_scales]
    from infgen.train.networks.projected import ProjectedDiscriminator  # its networks come with the train extra

    first = ProjectedDiscriminator()
    return [first, *(ProjectedDiscriminator(like=first) for _ in recipe.trained_scales[1:])]


def initial_state(recipe: Recipe, *, seed: int, device: torch.device) -> TrainingState:
    """Make the state at step 0: networks with the random weights of ``seed``, and new optimisers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(recipe.generator_config).to(device)
        discriminators = nn.ModuleList(build_discriminators(recipe)).to(device)
    for network in (generator, discriminators):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(generator).requires_grad_(False)
    return TrainingState(
        generator=generator,
        ema=ema,
        discriminators=discriminators,
        generator_optimizer=lazy_adam(
            generator, recipe.generator_rate, every=recipe.path_every if recipe.path_weight else None
        ),
        discriminator_optimizer=lazy_adam(
            discriminators, recipe.discriminator_rate, every=recipe.r1_every if recipe.r1_weight else None
        ),
        path_mean=torch.zeros(len(discriminators), device=device),
        augment_p=[0.0] * len(discriminators),
        real_sign=[0.0] * len(discriminators),
    )

"""The training loop: one discriminator and one generator update per step, lazy regularisers, EMA, log, checkpoints.

Nothing random is carried from step to step: every draw is a function of the seed and the step, so a run that was killed
continues from its last checkpoint exactly as if nothing had happened.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from infgen.engines.eager import DTYPES, pick_device
from infgen.errors import DivergenceError, InputError
from infgen.model.generator import Generator
from infgen.train import losses, samples
from infgen.train.augment import augment
from infgen.train.checkpoint import RunFolder
from infgen.train.data import Batch, PhotoSet
from infgen.train.discriminator import Critic, Discriminator, Verdict
from infgen.train.presets import Recipe
from infgen.train.sampling import Draw, draw, step_rng, style_of

PRECISIONS = tuple(DTYPES)
DIVERGED = 1e5  # a loss term beyond this never comes back

LATENTS, REAL_AUGMENT, FAKE_AUGMENT, PATH, PATH_DIRECTION = range(5)  # purposes of a step's random numbers


@dataclass(frozen=True)
class Schedule:
    """How long a run goes on and how often it writes."""

    steps: int
    checkpoint_every: int = 500
    sample_every: int = 1000
    seed: int = 0
    device: str | None = None  # None: a GPU where there is one
    precision: str = "fp32"
    threads: int | None = None  # CPU threads; None leaves PyTorch's choice


@dataclass
class State:
    """Everything that a run carries from one step to the next."""

    generator: Generator
    average: Generator  # EMA of the generator's parameters
    discriminator: Critic
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    path_mean: Tensor
    step: int = 0


@dataclass(frozen=True)
class Adversarial:
    """The pair of adversarial losses that belongs to a discriminator."""

    discriminator: Callable[[list[Tensor], list[Tensor]], Tensor]
    generator: Callable[[list[Tensor]], Tensor]


ADVERSARIAL = {
    "paper": Adversarial(losses.logistic_discriminator, losses.logistic_generator),
    "projected": Adversarial(losses.hinge_discriminator, losses.hinge_generator),
}


def _build_discriminator(recipe: Recipe) -> Critic:
    if recipe.discriminator == "paper":
        return Discriminator(recipe.generator_config.patch_px, width=recipe.discriminator_width, group=recipe.batch)
    from infgen.train.projected import ProjectedDiscriminator

    return ProjectedDiscriminator()


def lazy_adam(module: nn.Module, rate: float, *, every: int | None) -> torch.optim.Adam:
    """Adam with betas (0, 0.99), corrected for a regulariser that runs every ``every`` steps (StyleGAN2, Section 3.1).

    ``every``: None where there is no regulariser.
    """
    ratio = 1.0 if every is None else every / (every + 1)
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, lr=rate * ratio, betas=(0.0, 0.99**ratio), fused=True)


def initial_state(recipe: Recipe, *, seed: int, device: torch.device) -> State:
    """Networks with the random weights of ``seed``, fresh optimisers, step 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(recipe.generator_config).to(device)
        discriminator = _build_discriminator(recipe).to(device)
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(generator).requires_grad_(False)
    return State(
        generator=generator,
        average=average,
        discriminator=discriminator,
        generator_optimizer=lazy_adam(
            generator, recipe.generator_rate, every=recipe.path_every if recipe.path_weight else None
        ),
        discriminator_optimizer=lazy_adam(
            discriminator, recipe.discriminator_rate, every=recipe.r1_every if recipe.r1_weight else None
        ),
        path_mean=torch.zeros((), device=device),
    )


@dataclass
class Terms:
    """Loss terms of one step by name; every value is checked when it is added."""

    step: int
    values: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> Tensor:
        """Record ``value`` and return it. Raises DivergenceError where it is not finite or beyond 1e5."""
        number = float(value.detach())
        if not math.isfinite(number) or abs(number) > DIVERGED:
            raise DivergenceError(
                f"training diverged at step {self.step + 1}: loss term {name} is {number:g}; the last checkpoint is "
                "kept, start another run with lower learning rates (--generator-rate, --discriminator-rate)"
            )
        self.values[name] = number
        return value


class Trainer:
    """One run: a recipe, photographs, and the state they change."""

    def __init__(self, recipe: Recipe, photos: PhotoSet, schedule: Schedule) -> None:
        self.recipe, self.photos, self.schedule = recipe, photos, schedule
        self.device = pick_device(schedule.device)
        self.dtype = DTYPES[schedule.precision]
        self.state = initial_state(recipe, seed=schedule.seed, device=self.device)
        self.adversarial = ADVERSARIAL[recipe.discriminator]
        if recipe.discriminator == "projected":
            self.state.discriminator.network.to(self.dtype)
            self.state.discriminator.projection.to(self.dtype)

    def _draw(self, step: int, purpose: int, batch: int) -> Draw:
        rng = step_rng(self.schedule.seed, step, purpose)
        return draw(self.recipe, batch, rng, device=self.device, dtype=self.dtype)

    def _augmented(self, images: Tensor, target: Tensor, step: int, purpose: int) -> tuple[Tensor, Tensor]:
        if self.recipe.augment == "none":
            return images, target
        real = purpose == REAL_AUGMENT
        scale = self.recipe.real_px_per_unit if real else self.recipe.fake_px_per_unit
        return augment(images, target, px_per_unit=scale, rng=step_rng(self.schedule.seed, step, purpose))

    def _features(self, images: Tensor) -> list[Tensor]:
        images = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.state.discriminator.features(images)

    def step(self) -> dict[str, float]:
        """One training step. Returns its loss terms by name; raises DivergenceError."""
        state, recipe, step = self.state, self.recipe, self.state.step
        terms = Terms(step)
        batch = self.photos.batch(
            step, recipe.batch, seed=self.schedule.seed, device=self.device, beyond=recipe.beyond
        )
        drawn = self._draw(step, LATENTS, recipe.batch)
        z_s = state.generator.structure(drawn.z_l, drawn.coordinates, drawn.z_g)
        fake = state.generator.texture(z_s, style_of(state.generator, drawn).w_plus, drawn.noises)
        fake_seen, fake_target = self._augmented(fake, drawn.position, step, FAKE_AUGMENT)
        fake_features = self._features(fake_seen)
        self._update_discriminator(batch, [f.detach() for f in fake_features], fake_target, terms)
        self._update_generator(drawn, z_s, fake_features, fake_target, terms)
        if recipe.r1_weight and step % recipe.r1_every == 0:
            self._regularise_discriminator(batch, terms)
        if recipe.path_weight and step % recipe.path_every == 0:
            self._regularise_generator(step, terms)
        self._average()
        state.step += 1
        return terms.values

    def _update_discriminator(self, batch: Batch, fake: list[Tensor], fake_target: Tensor, terms: Terms) -> None:
        images, target = self._augmented(batch.images, batch.position, terms.step, REAL_AUGMENT)
        with torch.no_grad():
            real_features = self._features(images)
        real, judged = self.state.discriminator.judge(real_features), self.state.discriminator.judge(fake)
        adversarial = terms.add("d_adversarial", self.adversarial.discriminator(real.logits, judged.logits))
        position = terms.add(
            "d_position", losses.position(real.position, target) + losses.position(judged.position, fake_target)
        )
        _update(self.state.discriminator_optimizer, adversarial + self.recipe.position_weight * position)

    def _update_generator(self, drawn: Draw, z_s: Tensor, features: list[Tensor], target: Tensor, terms: Terms) -> None:
        with _frozen(self.state.discriminator):
            verdict = self.state.discriminator.judge(features)
        loss = terms.add("g_adversarial", self.adversarial.generator(verdict.logits))
        position = terms.add("g_position", losses.position(verdict.position, target))
        loss = loss + self.recipe.position_weight * position
        if self.recipe.diversity_weight:
            diversity = terms.add("g_diversity", losses.diversity(drawn.z_l.float(), z_s.float()))
            loss = loss + self.recipe.diversity_weight * diversity
        _update(self.state.generator_optimizer, loss)

    def _regularise_discriminator(self, batch: Batch, terms: Terms) -> None:
        """Lazy R1 in float32 (StyleGAN2, Section 3.1)."""
        images = batch.images.detach().requires_grad_()
        verdict: Verdict = self.state.discriminator(images)
        penalty = terms.add("d_r1", losses.r1_penalty(torch.cat(verdict.logits), images))
        _update(self.state.discriminator_optimizer, self.recipe.r1_weight / 2 * self.recipe.r1_every * penalty)

    def _regularise_generator(self, step: int, terms: Terms) -> None:
        """Lazy path length regularisation on half a batch, with respect to the texture styles."""
        drawn = self._draw(step, PATH, max(2, self.recipe.batch // 4 * 2))
        generator = self.state.generator
        style = style_of(generator, drawn)
        fake = generator(drawn.z_l, drawn.coordinates, style, drawn.noises)
        direction = torch.randn(fake.shape, generator=step_rng(self.schedule.seed, step, PATH_DIRECTION)).to(
            self.device
        )
        lengths = losses.path_lengths(fake, style.w_plus, direction=direction)
        penalty, self.state.path_mean = losses.path_penalty(lengths, self.state.path_mean)
        terms.add("g_path", penalty)
        _update(self.state.generator_optimizer, self.recipe.path_weight * self.recipe.path_every * penalty)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.state.step) / (10 + self.state.step))  # forget the random start quickly
        torch._foreach_lerp_(list(self.state.average.parameters()), list(self.state.generator.parameters()), 1 - decay)

    def run(self, folder: RunFolder, *, report: Callable[[int, dict[str, float]], None]) -> None:
        """Train up to ``schedule.steps``, writing log, samples, checkpoints and the averaged model into ``folder``.

        Raises DivergenceError, after which the folder holds the last good checkpoint.
        """
        state, schedule = self.state, self.schedule
        if state.step >= schedule.steps:
            raise InputError(f"the run is at step {state.step} already; give --steps more than that")
        with folder.log(from_step=state.step) as log:
            while state.step < schedule.steps:
                terms = self.step()
                log.write({"step": state.step, **terms})
                report(state.step, terms)
                last = state.step == schedule.steps
                if last or state.step % schedule.sample_every == 0:
                    samples.write_grid(state.average, folder.samples / f"{state.step:07d}.png", dtype=self.dtype)
                if last or state.step % schedule.checkpoint_every == 0:
                    log.sync()
                    folder.save(state, self.recipe, seed=schedule.seed, data=self.photos.fingerprint)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Spare the backward pass the gradients of parameters that are not being trained in it."""
    trained = [p for p in module.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)

"""One training step: discriminator, generator, lazy regularisers, EMA, over the micro-batches of this process.

Nothing random is carried from step to step: every draw is a function of seed, step and micro-batch, and batch statistics stay
inside a micro-batch. So neither an interruption nor the number of processes changes what is computed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from infgen.engines.eager import DTYPES
from infgen.errors import DivergenceError, InputError
from infgen.model.scales import Scale
from infgen.train import losses
from infgen.train.ada import ada, next_probability
from infgen.train.augment import augment
from infgen.train.data.photo_set import Batch
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.networks.discriminator import Critic
from infgen.train.presets import Recipe
from infgen.train.processes import Processes
from infgen.train.sampling import Draw, draw, generate, rng_on, step_rng
from infgen.train.state import State, initial_state

DIVERGED = 1e5  # a loss term beyond this never comes back
ADAPT_EVERY = 4  # steps between adjustments of ADA's probability

LATENTS, REAL_AUGMENT, FAKE_AUGMENT, PATH, PATH_DIRECTION = range(5)  # purposes of a step's random numbers


@dataclass(frozen=True)
class Adversarial:
    """The pair of adversarial losses that belongs to a discriminator."""

    discriminator: Callable[[list[Tensor], list[Tensor]], Tensor]
    generator: Callable[[list[Tensor]], Tensor]


ADVERSARIAL = {
    "paper": Adversarial(losses.logistic_discriminator, losses.logistic_generator),
    "projected": Adversarial(losses.hinge_discriminator, losses.hinge_generator),
}


class Terms:
    """Values of one step by name, several where there are several micro-batches."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> Tensor:
        """Record ``value`` and return it."""
        self._values.setdefault(name, []).append(value.detach().float())
        return value

    def means(self, processes: Processes, *, step: int) -> dict[str, float]:
        """The mean of every term over micro-batches and processes.

        Raises DivergenceError in every process, where a mean is not finite or beyond 1e5.
        """
        local = torch.stack([torch.stack(values).mean() for values in self._values.values()])
        means = dict(zip(self._values, processes.mean(local).tolist(), strict=True))
        for name, value in means.items():
            if not math.isfinite(value) or abs(value) > DIVERGED:
                raise DivergenceError(
                    f"training diverged at step {step}: loss term {name} is {value:g}; the last checkpoint is kept, "
                    "start another run with lower learning rates (--generator-rate, --discriminator-rate)"
                )
        return means


@dataclass(frozen=True)
class Fake:
    """One generated micro-batch: what it was drawn from, its structure, and what the discriminator sees of it."""

    drawn: Draw
    z_s: Tensor
    features: list[Tensor]
    target: Tensor


class Stepper:
    """The steps of one run: a recipe, photographs, and the state they change."""

    def __init__(
        self, recipe: Recipe, photos: PhotoPyramid, processes: Processes, *, seed: int = 0, precision: str = "fp32"
    ) -> None:
        groups = recipe.batch // recipe.group
        if groups % processes.count:
            raise InputError(
                f"batch {recipe.batch} in micro-batches of {recipe.group} cannot be shared by {processes.count} processes; "
                f"give --micro-batch {recipe.batch // processes.count // 2 * 2 or 2} or another number of processes"
            )
        self.recipe, self.photos, self.processes, self.seed = recipe, photos, processes, seed
        self.device, self.dtype = processes.device, DTYPES[precision]
        self.shares = range(processes.index, groups, processes.count)  # micro-batches of this process
        self.groups = groups
        self.adversarial = ADVERSARIAL[recipe.discriminator]
        self.state: State = initial_state(recipe, seed=seed, device=self.device)
        for critic in self.state.discriminators:
            critic.set_feature_dtype(self.dtype)
        self.judged = recipe.judged
        self._generators = [self.state.generator.coarser(scale.halvings) for scale in self.judged]
        self._turn, self._round = 0, 0  # scale of this step, and earlier steps of that scale

    @property
    def scale(self) -> Scale:
        """The scale that this step trains."""
        return self.judged[self._turn]

    @property
    def critic(self) -> Critic:
        """Its discriminator."""
        return cast("Critic", self.state.discriminators[self._turn])

    def step(self) -> dict[str, float]:
        """One training step. Returns its loss terms by name, of several scales with that of the view; raises DivergenceError."""
        state, recipe, step = self.state, self.recipe, self.state.step
        terms = Terms()
        self._turn, self._round = recipe.turn(step)
        self._set_rates()
        self.critic.refresh()
        fakes = self._update_discriminator(terms)
        self._update_generator(fakes, terms)
        del fakes
        if recipe.r1_weight and self._round % recipe.r1_every == 0:
            self._regularise_discriminator(terms)
        if recipe.path_weight and self._round % recipe.path_every == 0:
            self._regularise_generator(terms)
        self._average()
        values = terms.means(self.processes, step=step + 1)
        self._adapt(values)
        state.step += 1
        return {self._term(name): value for name, value in values.items()}

    def _term(self, name: str) -> str:
        return name if len(self.judged) == 1 else f"{name}_view{self.scale.view_px}"

    def _set_rates(self) -> None:
        share = self.recipe.rates_at(self.state.step)
        for optimizer in (self.state.generator_optimizer, self.state.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = share * group["initial_lr"]

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[int], Tensor]) -> None:
        """One optimiser step on the mean of ``loss(micro-batch)`` over all micro-batches of all processes."""
        optimizer.zero_grad(set_to_none=True)
        for index in self.shares:
            (loss(index) / len(self.shares)).backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(network.parameters())
        optimizer.step()

    def _rng(self, purpose: int, index: int) -> torch.Generator:
        return step_rng(self.seed, self.state.step * self.groups + index, purpose)

    def _real(self, index: int) -> Batch:
        first = self._round * self.recipe.batch + index * self.recipe.group
        samples, photos = range(first, first + self.recipe.group), self.photos.sets[self._turn]
        whole = len(self.judged) > 1 and self._turn == 0  # a whole view has no edge to speak of
        beyond = 0.0 if whole else self.recipe.beyond
        return photos.batch(samples, seed=self.seed, device=self.device, beyond=beyond)

    def _expect(self) -> None:
        """Say which photographs the next step needs."""
        recipe = self.recipe
        turn, past = recipe.turn(self.state.step + 1)
        for index in self.shares:
            first = past * recipe.batch + index * recipe.group
            self.photos.sets[turn].prefetch(range(first, first + recipe.group), seed=self.seed)

    def _augmented(self, images: Tensor, target: Tensor, purpose: int, index: int) -> tuple[Tensor, Tensor]:
        kind = self.recipe.augment
        if kind == "none":
            return images, target
        units = self.recipe.real_px_per_unit if purpose == REAL_AUGMENT else self.recipe.fake_px_per_unit
        px, rng = units(self.scale), self._rng(purpose, index)
        if kind == "ada":
            return ada(images, target, p=self.state.augment_p[self._turn], px_per_unit=px, rng=rng)
        return augment(images, target, px_per_unit=px, rng=rng)

    def _features(self, images: Tensor) -> list[Tensor]:
        images = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.critic.features(images)

    def _draw(self, count: int, purpose: int, index: int) -> Draw:
        rng = self._rng(purpose, index)
        return draw(self.recipe, self.scale, count, rng, device=self.device, dtype=self.dtype)

    def _fake(self, index: int) -> Fake:
        drawn = self._draw(self.recipe.group, LATENTS, index)
        images, z_s, _ = generate(self._generators[self._turn], drawn)
        seen, target = self._augmented(images, drawn.position, FAKE_AUGMENT, index)
        return Fake(drawn, z_s, self._features(seen), target)

    def _update_discriminator(self, terms: Terms) -> Mapping[int, Fake]:
        """Returns the generated micro-batch for the generator's update where this process has only one.

        Several are generated again: their graphs together are what accumulation is there to avoid.
        """
        keep = len(self.shares) == 1
        kept: dict[int, Fake] = {}

        def loss(index: int) -> Tensor:
            with torch.set_grad_enabled(keep):
                fake = self._fake(index)
            if keep:
                kept[index] = fake
            return self._discriminator_loss(fake, index, terms)

        self._update(self.critic, self.state.discriminator_optimizer, loss)
        self._expect()
        return kept

    def _discriminator_loss(self, fake: Fake, index: int, terms: Terms) -> Tensor:
        discriminator = self.critic
        batch = self._real(index)
        images, target = self._augmented(batch.images, batch.position, REAL_AUGMENT, index)
        with torch.no_grad():
            real_features = self._features(images)
        real = discriminator.judge(real_features)
        judged = discriminator.judge([f.detach() for f in fake.features])
        adversarial = terms.add("d_adversarial", self.adversarial.discriminator(real.logits, judged.logits))
        if self.recipe.augment == "ada":
            terms.add("d_real_sign", torch.cat([r.flatten() for r in real.logits]).sign().mean())
        if not self.recipe.position_weight:
            return adversarial
        position = losses.position(real.position, target) + losses.position(judged.position, fake.target)
        return adversarial + self.recipe.position_weight * terms.add("d_position", position)

    def _update_generator(self, fakes: Mapping[int, Fake], terms: Terms) -> None:
        if self.state.step < self.recipe.warmup_steps:
            return

        def loss(index: int) -> Tensor:
            return self._generator_loss(fakes[index] if index in fakes else self._fake(index), terms)

        with _frozen(self.critic):
            self._update(self.state.generator, self.state.generator_optimizer, loss)

    def _generator_loss(self, fake: Fake, terms: Terms) -> Tensor:
        recipe = self.recipe
        verdict = self.critic.judge(fake.features)
        loss = terms.add("g_adversarial", self.adversarial.generator(verdict.logits))
        if recipe.position_weight:
            position = terms.add("g_position", losses.position(verdict.position, fake.target))
            loss = loss + recipe.position_weight * position
        if recipe.diversity_weight:
            diversity = terms.add("g_diversity", losses.diversity(fake.drawn.z_l.float(), fake.z_s.float()))
            loss = loss + recipe.diversity_weight * diversity
        return loss

    def _regularise_discriminator(self, terms: Terms) -> None:
        """Lazy R1 in float32 on plain photographs (StyleGAN2, Section 3.1)."""

        def loss(index: int) -> Tensor:
            images = self._real(index).images.requires_grad_()
            verdict = self.critic(images)
            penalty = terms.add("d_r1", losses.r1_penalty(torch.cat(verdict.logits), images))
            return self.recipe.r1_weight / 2 * self.recipe.r1_every * penalty

        self._update(self.critic, self.state.discriminator_optimizer, loss)

    def _regularise_generator(self, terms: Terms) -> None:
        """Lazy path length regularisation on half of every micro-batch, with respect to the texture styles."""
        generator, means = self.state.generator, []

        def loss(index: int) -> Tensor:
            half = max(2, self.recipe.group // 4 * 2)
            fake, _, style = generate(self._generators[self._turn], self._draw(half, PATH, index))
            rng = rng_on(self.device, self._rng(PATH_DIRECTION, index))
            direction = torch.randn(fake.shape, generator=rng, device=self.device)
            lengths = losses.path_lengths(fake, style.w_plus, direction=direction)
            penalty, mean = losses.path_penalty(lengths, self.state.path_mean[self._turn])
            means.append(mean)
            return self.recipe.path_weight * self.recipe.path_every * terms.add("g_path", penalty)

        self._update(generator, self.state.generator_optimizer, loss)
        self.state.path_mean[self._turn] = self.processes.mean(torch.stack(means).mean())

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.state.step) / (10 + self.state.step))  # forget the random start quickly
        torch._foreach_lerp_(list(self.state.ema.parameters()), list(self.state.generator.parameters()), 1 - decay)

    def _adapt(self, values: dict[str, float]) -> None:
        """Move ADA's probability every few steps; it stands in the log beside the sign that moves it."""
        if self.recipe.augment != "ada":
            return
        state, turn = self.state, self._turn
        state.real_sign[turn] += values["d_real_sign"]
        if (self._round + 1) % ADAPT_EVERY == 0:
            images, sign = self.recipe.batch * ADAPT_EVERY, state.real_sign[turn] / ADAPT_EVERY
            p = next_probability(state.augment_p[turn], sign, images=images, target=self.recipe.ada_target)
            state.augment_p[turn], state.real_sign[turn] = p, 0.0
        values["augment_p"] = state.augment_p[turn]


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

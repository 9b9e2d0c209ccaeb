"""One training step: discriminator, generator, lazy regularisers, EMA, over the micro-batches of this process.

No random state is carried from step to step: every draw depends only on seed, step and micro-batch. Batch statistics stay
inside a micro-batch. So neither an interruption nor the number of processes changes the result.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from infgen.engines.eager import DTYPES
from infgen.errors import DivergenceError, InputError
from infgen.model.scales import Scale
from infgen.train import losses
from infgen.train.ada import augment_adaptively, next_probability
from infgen.train.augment import augment
from infgen.train.data.photo_set import Batch
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.networks.discriminator import Discriminator
from infgen.train.presets import Recipe
from infgen.train.processes import Processes
from infgen.train.sampling import GeneratorInputs, draw_inputs, generate, rng_on, step_rng
from infgen.train.state import TrainingState, initial_state

DIVERGENCE_LIMIT = 1e5  # training does not recover from a loss term beyond this
ADAPT_EVERY = 4  # steps between adjustments of ADA's probability

LATENTS, REAL_AUGMENT, FAKE_AUGMENT, PATH, PATH_DIRECTION = range(5)  # purposes of a step's random numbers


@dataclass(frozen=True)
class AdversarialLosses:
    """The adversarial losses of a discriminator and of the generator trained with it."""

    discriminator: Callable[[list[Tensor], list[Tensor]], Tensor]
    generator: Callable[[list[Tensor]], Tensor]


ADVERSARIAL_LOSSES = {
    "paper": AdversarialLosses(losses.logistic_discriminator, losses.logistic_generator),
    "projected": AdversarialLosses(losses.hinge_discriminator, losses.hinge_generator),
}


class LossTerms:
    """Loss terms of one step by name, with one value per micro-batch."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> Tensor:
        self._values.setdefault(name, []).append(value.detach().float())
        return value

    def means(self, processes: Processes, *, step: int) -> dict[str, float]:
        """Average every term over micro-batches and processes.

        Raises DivergenceError in every process if a mean is not finite or beyond 1e5.
        """
        local = torch.stack([torch.stack(values).mean() for values in self._values.values()])
        means = dict(zip(self._values, processes.mean(local).tolist(), strict=True))
        for name, value in means.items():
            if not math.isfinite(value) or abs(value) > DIVERGENCE_LIMIT:
                raise DivergenceError(
                    f"training diverged at step {step}: loss term {name} is {value:g}; start another run with lower "
                    "learning rates (--generator-rate, --discriminator-rate)"
                )
        return means


@dataclass(frozen=True)
class GeneratedBatch:
    """One generated micro-batch: the generator's inputs, z_S, discriminator features, and vertical targets (B,)."""

    inputs: GeneratorInputs
    z_s: Tensor
    features: list[Tensor]
    target: Tensor


class Stepper:
    """Runs the steps of one run: a recipe, photographs, and the state that the steps change."""

    def __init__(
        self, recipe: Recipe, photos: PhotoPyramid, processes: Processes, *, seed: int = 0, precision: str = "fp32"
    ) -> None:
        count = recipe.batch // recipe.micro_batch_size
        if count % processes.count:
            raise InputError(
                f"batch {recipe.batch} in micro-batches of {recipe.micro_batch_size} cannot be divided among "
                f"{processes.count} processes; give --micro-batch {recipe.batch // processes.count // 2 * 2 or 2} or "
                "another number of processes"
            )
        self.recipe, self.photos, self.processes, self.seed = recipe, photos, processes, seed
        self.device, self.dtype = processes.device, DTYPES[precision]
        self.micro_batches = range(processes.index, count, processes.count)  # indices of this process
        self.micro_batch_count = count
        self.adversarial = ADVERSARIAL_LOSSES[recipe.discriminator]
        self.state: TrainingState = initial_state(recipe, seed=seed, device=self.device)
        for discriminator in self.state.discriminators:
            cast("Discriminator", discriminator).set_feature_dtype(self.dtype)
        self.scales = recipe.trained_scales
        self._generators = [self.state.generator.coarser(scale.halvings) for scale in self.scales]
        self._scale_index, self._scale_step = 0, 0  # scale of this step, and number of earlier steps of that scale

    @property
    def scale(self) -> Scale:
        """The scale that this step trains."""
        return self.scales[self._scale_index]

    @property
    def discriminator(self) -> Discriminator:
        """The discriminator of that scale."""
        return cast("Discriminator", self.state.discriminators[self._scale_index])

    def step(self) -> dict[str, float]:
        """Run one training step. Returns its loss terms by name; raises DivergenceError.

        With several scales, the names end in the view of the step's scale ("_view98").
        """
        state, recipe, step = self.state, self.recipe, self.state.step
        terms = LossTerms()
        self._scale_index, self._scale_step = recipe.scale_at(step)
        self._set_learning_rates()
        self.discriminator.update_normalization()
        batches = self._update_discriminator(terms)
        self._update_generator(batches, terms)
        del batches
        if recipe.r1_weight and self._scale_step % recipe.r1_every == 0:
            self._regularise_discriminator(terms)
        if recipe.path_weight and self._scale_step % recipe.path_every == 0:
            self._regularise_generator(terms)
        self._update_ema()
        values = terms.means(self.processes, step=step + 1)
        self._adapt_augmentation(values)
        state.step += 1
        return {self._log_key(name): value for name, value in values.items()}

    def _log_key(self, name: str) -> str:
        return name if len(self.scales) == 1 else f"{name}_view{self.scale.view_px}"

    def _set_learning_rates(self) -> None:
        factor = self.recipe.rate_factor(self.state.step)
        for optimizer in (self.state.generator_optimizer, self.state.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = factor * group["initial_lr"]

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[int], Tensor]) -> None:
        """Run one optimiser step on the mean of ``loss(micro-batch)`` over all micro-batches of all processes."""
        optimizer.zero_grad(set_to_none=True)
        for index in self.micro_batches:
            (loss(index) / len(self.micro_batches)).backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(network.parameters())
        optimizer.step()

    def _rng(self, purpose: int, index: int) -> torch.Generator:
        return step_rng(self.seed, self.state.step * self.micro_batch_count + index, purpose)

    def _real_batch(self, index: int) -> Batch:
        size = self.recipe.micro_batch_size
        first = self._scale_step * self.recipe.batch + index * size
        full_view = len(self.scales) > 1 and self._scale_index == 0  # a patch of the coarsest scale fills its view
        beyond = 0.0 if full_view else self.recipe.beyond
        photos = self.photos.sets[self._scale_index]
        samples, turns = range(first, first + size), self.recipe.turns
        return photos.batch(samples, seed=self.seed, device=self.device, beyond=beyond, turns=turns)

    def _prefetch(self) -> None:
        """Start decoding the photographs of the next step."""
        recipe = self.recipe
        scale_index, scale_step = recipe.scale_at(self.state.step + 1)
        for index in self.micro_batches:
            first = scale_step * recipe.batch + index * recipe.micro_batch_size
            self.photos.sets[scale_index].prefetch(range(first, first + recipe.micro_batch_size), seed=self.seed)

    def _augment(self, images: Tensor, target: Tensor, purpose: int, index: int) -> tuple[Tensor, Tensor]:
        kind = self.recipe.augment
        if kind == "none":
            return images, target
        px_per_unit = self.recipe.real_px_per_unit if purpose == REAL_AUGMENT else self.recipe.fake_px_per_unit
        px, rng = px_per_unit(self.scale), self._rng(purpose, index)
        if kind == "ada":
            p = self.state.augment_p[self._scale_index]
            return augment_adaptively(images, target, p=p, px_per_unit=px, rng=rng)
        return augment(images, target, px_per_unit=px, rng=rng, colour=self.recipe.colour_jitter)

    def _extract_features(self, images: Tensor) -> list[Tensor]:
        images = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.discriminator.extract_features(images)

    def _draw_inputs(self, count: int, purpose: int, index: int) -> GeneratorInputs:
        rng = self._rng(purpose, index)
        return draw_inputs(self.recipe, self.scale, count, rng, device=self.device, dtype=self.dtype)

    def _generate(self, index: int) -> GeneratedBatch:
        inputs = self._draw_inputs(self.recipe.micro_batch_size, LATENTS, index)
        images, z_s, _ = generate(self._generators[self._scale_index], inputs)
        augmented, target = self._augment(images, inputs.position, FAKE_AUGMENT, index)
        return GeneratedBatch(inputs, z_s, self._extract_features(augmented), target)

    def _update_discriminator(self, terms: LossTerms) -> Mapping[int, GeneratedBatch]:
        """Update the discriminator. Returns the generated micro-batch for the generator's update if there is only one.

        Several micro-batches are generated again later: keeping all their graphs would need the memory of a full batch.
        """
        keep = len(self.micro_batches) == 1
        kept: dict[int, GeneratedBatch] = {}

        def loss(index: int) -> Tensor:
            with torch.set_grad_enabled(keep):
                batch = self._generate(index)
            if keep:
                kept[index] = batch
            return self._discriminator_loss(batch, index, terms)

        self._update(self.discriminator, self.state.discriminator_optimizer, loss)
        self._prefetch()
        return kept

    def _discriminator_loss(self, generated: GeneratedBatch, index: int, terms: LossTerms) -> Tensor:
        discriminator = self.discriminator
        batch = self._real_batch(index)
        images, target = self._augment(batch.images, batch.position, REAL_AUGMENT, index)
        with torch.no_grad():
            real_features = self._extract_features(images)
        with parametrize.cached():  # both calls read the same normalised weights
            real = discriminator.classify(real_features)
            fake = discriminator.classify([f.detach() for f in generated.features])
        adversarial = terms.add("d_adversarial", self.adversarial.discriminator(real.logits, fake.logits))
        if self.recipe.augment == "ada":
            terms.add("d_real_sign", torch.cat([r.flatten() for r in real.logits]).sign().mean())
        if not self.recipe.position_weight:
            return adversarial
        position = losses.position(real.position, target) + losses.position(fake.position, generated.target)
        return adversarial + self.recipe.position_weight * terms.add("d_position", position)

    def _update_generator(self, batches: Mapping[int, GeneratedBatch], terms: LossTerms) -> None:
        if self.state.step < self.recipe.warmup_steps:
            return

        def loss(index: int) -> Tensor:
            return self._generator_loss(batches[index] if index in batches else self._generate(index), terms)

        with _freeze(self.discriminator):
            self._update(self.state.generator, self.state.generator_optimizer, loss)

    def _generator_loss(self, generated: GeneratedBatch, terms: LossTerms) -> Tensor:
        recipe = self.recipe
        output = self.discriminator.classify(generated.features)
        loss = terms.add("g_adversarial", self.adversarial.generator(output.logits))
        if recipe.position_weight:
            position = terms.add("g_position", losses.position(output.position, generated.target))
            loss = loss + recipe.position_weight * position
        if recipe.diversity_weight:
            diversity = losses.diversity(
                generated.inputs.z_l.float(), generated.z_s.float(), norm=recipe.diversity_norm
            )
            loss = loss + recipe.diversity_weight * terms.add("g_diversity", diversity)
        return loss

    def _regularise_discriminator(self, terms: LossTerms) -> None:
        """Apply lazy R1 in float32 on photographs without augmentation (StyleGAN2, Section 3.1)."""

        def loss(index: int) -> Tensor:
            images = self._real_batch(index).images.requires_grad_()
            output = self.discriminator(images)
            penalty = terms.add("d_r1", losses.r1_penalty(torch.cat(output.logits), images))
            return self.recipe.r1_weight / 2 * self.recipe.r1_every * penalty

        self._update(self.discriminator, self.state.discriminator_optimizer, loss)

    def _regularise_generator(self, terms: LossTerms) -> None:
        """Apply lazy path length regularisation to half of every micro-batch, with respect to the texture styles."""
        generator, means = self.state.generator, []

        def loss(index: int) -> Tensor:
            half = max(2, self.recipe.micro_batch_size // 4 * 2)
            images, _, style = generate(self._generators[self._scale_index], self._draw_inputs(half, PATH, index))
            rng = rng_on(self.device, self._rng(PATH_DIRECTION, index))
            direction = torch.randn(images.shape, generator=rng, device=self.device)
            lengths = losses.path_lengths(images, style.w_plus, direction=direction)
            penalty, mean = losses.path_penalty(lengths, self.state.path_mean[self._scale_index])
            means.append(mean)
            return self.recipe.path_weight * self.recipe.path_every * terms.add("g_path", penalty)

        self._update(generator, self.state.generator_optimizer, loss)
        self.state.path_mean[self._scale_index] = self.processes.mean(torch.stack(means).mean())

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.recipe.ema, (1 + self.state.step) / (10 + self.state.step))  # drops the random start quickly
        torch._foreach_lerp_(list(self.state.ema.parameters()), list(self.state.generator.parameters()), 1 - decay)

    def _adapt_augmentation(self, values: dict[str, float]) -> None:
        """Adjust ADA's probability every few steps, and add it to the log next to the sign that changes it."""
        if self.recipe.augment != "ada":
            return
        state, index = self.state, self._scale_index
        state.real_sign[index] += values["d_real_sign"]
        if (self._scale_step + 1) % ADAPT_EVERY == 0:
            images, sign = self.recipe.batch * ADAPT_EVERY, state.real_sign[index] / ADAPT_EVERY
            p = next_probability(state.augment_p[index], sign, images=images, target=self.recipe.ada_target)
            state.augment_p[index], state.real_sign[index] = p, 0.0
        values["augment_p"] = state.augment_p[index]


@contextmanager
def _freeze(module: nn.Module) -> Iterator[None]:
    """Compute no gradients of the parameters of ``module`` in this block."""
    trained = [p for p in module.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)

"""The objective of an inversion: latents -> image -> loss terms."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from infgen.inversion import losses
from infgen.inversion.network import draw
from infgen.inversion.prior import StylePrior
from infgen.inversion.settings import Weights
from infgen.inversion.window import Cover, Latents, Target
from infgen.model.generator import Generator
from infgen.perceptual import Lpips


@dataclass(frozen=True, eq=False)
class Variables:
    """Optimised variables: ``z_l``, ``z_g``, styles in whitened coordinates, and noises before normalisation.

    W+ is ``style`` (1, 1, D), shared by all rows, plus ``rows`` (1, rows, D). Sampled styles are equal in every row, so
    this parametrisation shortens the steps in that direction.
    """

    z_l: Tensor
    z_g: Tensor
    style: Tensor
    rows: Tensor
    noises: tuple[Tensor, ...]

    @property
    def w_plus(self) -> Tensor:
        """Whitened W+ (1, rows, D)."""
        return self.style + self.rows

    @property
    def all(self) -> list[Tensor]:
        return [self.z_l, self.z_g, self.style, self.rows, *self.noises]

    def coarser(self, *, rows: int) -> "Variables":
        """Return the variables that the next coarser scale, with ``rows`` rows of W+, reads."""
        return replace(self, rows=self.rows[:, :rows], noises=self.noises[:-2]).detach_copy()

    def finer(self, *, rows: int, noises: tuple[Tensor, ...]) -> "Variables":
        """Return variables of the next finer scale: ``rows`` rows, the last ones equal, and two more of ``noises``."""
        last = self.rows[:, -1:].expand(-1, rows - self.rows.shape[1], -1)
        added = (*self.noises, *noises[len(self.noises) :])
        return replace(self, rows=torch.cat([self.rows, last], 1), noises=added).detach_copy()

    def detach_copy(self, *, scale: float = 1.0) -> "Variables":
        """Copy as independent leaf tensors, with noises multiplied by ``scale``."""

        def leaf(tensor: Tensor, factor: float = 1.0) -> Tensor:
            return tensor.detach().mul(factor).requires_grad_()

        noises = tuple(leaf(noise, scale) for noise in self.noises)
        return Variables(leaf(self.z_l), leaf(self.z_g), leaf(self.style), leaf(self.rows), noises)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation of the objective. ``terms``: unweighted, by name. ``image`` (1, 3, h, w): the target's window."""

    loss: Tensor
    terms: dict[str, Tensor]
    reconstruction: Tensor
    image: Tensor


class Objective:
    """Compares the output of ``generator`` in the window ``cover`` with ``target``."""

    def __init__(
        self,
        generator: Generator,
        target: Target,
        *,
        cover: Cover,
        weights: Weights,
        metric: Lpips,
        prior: StylePrior,
    ) -> None:
        device = generator.mean_style.device
        self.generator, self.prior = generator, prior
        self._target, self._cover, self._weights, self._metric = target, cover, weights, metric
        self._coordinates = cover.coordinates(generator.config, device)
        self._picture = target.picture.to(device, torch.float32).unsqueeze(0)
        self._known = None if target.mask is None else target.mask.to(device)
        with torch.no_grad():
            self._features = metric.trunk(self._picture)

    def coarser(self, generator: Generator) -> "Objective":
        """Return the objective of the target at half the size, drawn by ``generator`` of the next coarser scale."""
        target = self._target.coarser()
        return Objective(
            generator,
            target,
            cover=self._cover.coarser(target),
            weights=self._weights,
            metric=self._metric,
            prior=self.prior,
        )

    def latents(self, variables: Variables) -> Latents:
        """Convert ``variables`` to latents."""
        noises = tuple(losses.renormalise(noise) for noise in variables.noises)
        return Latents(variables.z_l, variables.z_g, self.prior.style(variables.w_plus), noises)

    def image(self, latents: Latents) -> Tensor:
        """Render the target's window: (1, 3, h, w), about [-1, 1]."""
        return self._cover.cut(draw(self.generator, latents, self._coordinates), self._target)

    def psnr(self, image: Tensor) -> float:
        """PSNR in dB of the known pixels of ``image`` (1, 3, h, w)."""
        return float(losses.psnr(image.detach(), self._picture, self._known))

    def perceptual(self, image: Tensor) -> Tensor:
        """LPIPS of ``image`` (1, 3, h, w). Unknown pixels are taken from the target, so they add nothing."""
        if self._known is not None:
            image = torch.where(self._known, image, self._picture)
        return self._metric.between(self._metric.trunk(image), self._features).sum()

    def __call__(self, variables: Variables) -> Evaluation:
        """Evaluate all terms with a nonzero weight."""
        latents, weights = self.latents(variables), self._weights
        image = self.image(latents)
        terms = {"pixel": losses.pixel(image, self._picture, self._known)}
        if weights.lpips:
            terms["lpips"] = self.perceptual(image)
        reconstruction = sum((getattr(weights, name) * terms[name] for name in terms), image.new_zeros(()))
        if weights.noise:
            terms["noise"] = torch.stack([losses.noise_regularity(noise) for noise in latents.noises]).sum()
        if weights.z_g:
            terms["z_g"] = losses.root_mean_square(latents.z_g)
        if weights.z_l:
            terms["z_l"] = losses.root_mean_square(latents.z_l)
        if weights.z_g_std:
            terms["z_g_std"] = losses.deviation(latents.z_g)
        if weights.z_l_std:
            terms["z_l_std"] = losses.deviation(latents.z_l)
        if weights.z_l_excess:
            terms["z_l_excess"] = losses.excess(latents.z_l)
        if weights.style:
            terms["style"] = losses.mahalanobis(variables.w_plus)
        loss = sum((getattr(weights, name) * value for name, value in terms.items()), image.new_zeros(()))
        return Evaluation(loss, terms, reconstruction, image)

"""Define all settings of an inversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from infgen.errors import InputError
from infgen.perceptual import Network

FINE_ADAM_STEPS = 1  # of the finer scale, before L-BFGS


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the loss terms.

    ``pixel``, ``lpips``: reconstruction. ``noise``: keeps noises white. ``z_g``, ``z_l``: the paper's d_M, which pulls
    them to 0. ``z_g_std``, ``z_l_std``: keep their standard deviation at 1. ``z_l_excess``: keeps the energy of z_l at 1.
    ``style``: Mahalanobis distance of W+.
    """

    pixel: float = 1000.0
    lpips: float = 5.0
    noise: float = 0.1
    z_g: float = 0.0
    z_l: float = 0.0
    z_g_std: float = 0.0
    z_l_std: float = 0.0
    z_l_excess: float = 1.0
    style: float = 0.01


# Terms from Eq. 7 and 8 in Appendix K, values from the released configuration. It has 0 for the deviations, the paper 1.
PAPER_WEIGHTS = Weights(pixel=10, lpips=10, noise=1000, z_g=10, z_l=10, z_g_std=1, z_l_std=1, z_l_excess=0, style=0.01)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of an inversion. ``Settings()`` reconstructs best; ``Settings.paper()`` has the paper's values.

    Both differ from the released code. They optimise styles in the whitened space of ``StylePrior`` (code: w) and normalise
    noises inside the objective (code: after every step). They do not perturb latents or augment pictures (the code does
    both; the paper mentions neither). Raises InputError for values out of range.
    """

    steps: int = 400  # forward and backward passes of the network; 0: the first guess
    adam_steps: int | None = 20  # first steps use Adam, the others L-BFGS; None: all use Adam
    rate: float = 0.1  # Adam's learning rate
    z_l_rate: float = 0.3  # relative learning rate of z_l
    z_g_rate: float = 1.0  # relative learning rate of z_g
    row_rate: float = 0.3  # relative learning rate of the per-row part of W+
    ramp_up: float = 0.05  # share of Adam's steps for warm-up
    ramp_down: float = 0.25  # share of Adam's steps for decay
    noise_scale: float = 30.0  # scale of noises in L-BFGS, since their learned strengths are small
    history: int = 30  # history length of L-BFGS
    weights: Weights = field(default_factory=Weights)
    starts: int = 1  # mean style first, then sampled styles; the best after start_steps continues
    start_steps: int = 10
    patience: int = 60  # stop after this many steps without an improvement of 0.1%
    coarse_share: float = 0.0  # share of the steps at the next coarser scale, which come first, if the model has one
    seed: int = 0  # seed of the world around the picture; its z_l and noises are the start
    lpips: Network = "alex"
    lpips_weights: Path | None = None  # VGG16 weights, if not in torchvision's cache

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("history", 1), ("starts", 1), ("start_steps", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} {getattr(self, name)} is out of range; allowed are whole numbers from {least}"
                )
        if self.adam_steps is not None and self.adam_steps < 1:
            raise InputError(
                f"adam_steps {self.adam_steps} is out of range; allowed are whole numbers from 1, and None"
            )
        for name in ("rate", "z_l_rate", "z_g_rate", "row_rate", "noise_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed are numbers above 0")
        for name in ("ramp_up", "ramp_down", "coarse_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed are 0 to 1")

    @property
    def descent_steps(self) -> int:
        """Number of Adam steps."""
        return self.steps if self.adam_steps is None else min(self.adam_steps, self.steps)

    def split(self) -> tuple["Settings", "Settings"]:
        """Return the settings of the coarse steps and of the others. Each has one step or more."""
        coarse = min(max(round(self.steps * self.coarse_share), 1), max(self.steps - 1, 1))
        return replace(self, steps=coarse), replace(
            self, steps=max(self.steps - coarse, 1), starts=1, adam_steps=FINE_ADAM_STEPS
        )

    @classmethod
    def paper(cls) -> Self:
        """Return Adam for 1000 steps with the paper's rates, weights and VGG16 (Appendix K; released configuration: 3000)."""
        return cls(
            steps=1000,
            adam_steps=None,
            z_l_rate=0.1,
            z_g_rate=0.1,
            row_rate=1.0,
            weights=PAPER_WEIGHTS,
            patience=1000,
            lpips="vgg",
        )


# Settings for photographs to be continued. Settings() reconstructs best, but its styles lie far from the prior and break
# up beyond the photograph. These keep styles near the prior; the result shows the photograph's own pixels anyway. Only the
# ratio of weights matters, so all are given. Three quarters of the steps find the composition at half the size.
CONTINUING = Settings(
    steps=60, coarse_share=0.75, weights=Weights(pixel=100, lpips=1, noise=1, z_g=0, z_l=0, z_l_excess=1, style=0.3)
)
# "continue": styles near those of worlds, so that the continuation looks like the photograph. "paper": the paper's Adam,
# weights and VGG16. "reconstruct": meets the photograph best; its styles break up outside of it.
NAMED_SETTINGS: Mapping[str, Settings] = {"continue": CONTINUING, "paper": Settings.paper(), "reconstruct": Settings()}
DEFAULT_SETTINGS = "continue"

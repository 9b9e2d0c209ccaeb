"""Every number of an inversion in one record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from infgen.errors import InputError
from infgen.perceptual import Network


@dataclass(frozen=True)
class Weights:
    """How much each term counts.

    ``pixel``, ``lpips``: the reconstruction. ``noise``: noises stay white. ``z_g`` and ``z_l``: the paper's d_M of
    them, which pulls them to 0. ``z_l_excess``: z_l keeps the energy of a draw. ``style``: Mahalanobis distance of W+.
    """

    pixel: float = 1000.0
    lpips: float = 5.0
    noise: float = 0.1
    z_g: float = 0.0
    z_l: float = 0.0
    z_l_excess: float = 1.0
    style: float = 0.01


# Appendix K names the terms; these numbers are those of the released configuration.
PAPER_WEIGHTS = Weights(pixel=10, lpips=10, noise=1000, z_g=10, z_l=10, z_l_excess=0, style=0.01)


@dataclass(frozen=True)
class Settings:
    """Every number of an inversion. ``Settings()`` is what recovers best here; ``Settings.paper()`` is the paper's.

    Both optimise styles in the whitened space of ``StylePrior`` (the released code: w itself) and normalise noises inside
    the objective (the code: after every step), neither perturbs latents nor augments pictures (the code does both; the
    paper does not say so). Raises InputError for numbers out of range.
    """

    steps: int = 400  # evaluations of the network, forwards and backwards
    adam_steps: int | None = 20  # the first of them, with Adam; the others with L-BFGS. None: all with Adam
    rate: float = 0.1  # Adam's learning rate
    z_l_rate: float = 0.3  # times rate, for z_l
    z_g_rate: float = 1.0  # times rate, for z_g
    row_rate: float = 0.3  # times rate, for what rows of W+ have of their own
    ramp_up: float = 0.05  # share of Adam's steps over which the rate rises
    ramp_down: float = 0.25  # share of Adam's steps over which it falls
    noise_scale: float = 30.0  # how much farther L-BFGS moves noises, whose learnt strengths are small
    history: int = 30  # steps that L-BFGS remembers
    weights: Weights = field(default_factory=Weights)
    starts: int = 1  # the mean style, then styles of drawn latents: the best after start_steps goes on
    start_steps: int = 10
    patience: int = 60  # ends after so many steps in which reconstruction does not improve by a thousandth
    seed: int = 0  # world whose z_l and noises are the start, and that goes on outside
    lpips: Network = "alex"
    lpips_weights: Path | None = None  # of VGG16, where it is not in torchvision's cache

    def __post_init__(self) -> None:
        for name in ("steps", "history", "starts", "start_steps", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed are whole numbers from 1")
        if self.adam_steps is not None and self.adam_steps < 1:
            raise InputError(
                f"adam_steps {self.adam_steps} is out of range; allowed are whole numbers from 1, and None"
            )
        for name in ("rate", "z_l_rate", "z_g_rate", "row_rate", "noise_scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed are numbers above 0")
        for name in ("ramp_up", "ramp_down"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed are 0 to 1")

    @property
    def descent_steps(self) -> int:
        """Steps that Adam takes."""
        return self.steps if self.adam_steps is None else min(self.adam_steps, self.steps)

    @classmethod
    def paper(cls) -> Self:
        """Adam for 1000 steps with the paper's rates and weights (Appendix K; the released configuration: 3000 steps)."""
        return cls(
            steps=1000,
            adam_steps=None,
            z_l_rate=0.1,
            z_g_rate=0.1,
            row_rate=1.0,
            weights=PAPER_WEIGHTS,
            patience=1000,
        )

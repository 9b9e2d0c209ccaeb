"""Training recipes: every number of a run in one frozen record, the named presets, and the paper's ablations of them.

A comment above each preset states its purpose, its requirements and its expected result. docs/presets.md has them as a table.
"""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Any, Literal

from infgen.errors import InputError
from infgen.model.config import CoordinateSystem, GeneratorConfig, Structure, preset
from infgen.model.scales import Scale, judged_scales
from infgen.train.losses import DistanceNorm

Augmentation = Literal["none", "diffaugment", "ada"]
DiscriminatorKind = Literal["paper", "projected"]

VERTICAL_STARTS = 10  # V: possible first rows of a generated patch, one cell apart
BEYOND_CELLS = 24  # farther than this from the trained strip all coordinates are saturated


@dataclass(frozen=True)
class Recipe:
    """Configuration of one training run. A weight of 0 switches its loss term off.

    >>> from infgen.train import Recipe
    >>> Recipe("scenery-101", batch=8).view_px
    197
    """

    generator: str  # name of a generator preset
    _: KW_ONLY
    width: float = 1.0  # multiplies the generator's channels
    coordinates: CoordinateSystem = "scenery"
    structure: Structure = "implicit"  # ablations: "pointwise" is G_S without feature unfolding, "none" is without G_S
    padding: bool = False  # ablation: pad the texture synthesizer with zeros
    patches: bool = True  # ablation, if False: train on full views, resized to a patch, at one position of the world
    view: int | None = None  # short side of a view in px at the last level; None: 17 cells, 197 px at 16 px a cell
    scales: tuple[int, ...] = ()  # levels whose RGB sum is trained, one discriminator each; empty: only the last level
    scale_shares: tuple[int, ...] = ()  # steps that each scale gets in turn, coarsest first; empty: one each
    fusion: float = 0.0  # share of steps that mix two styles over space, with the weight maps of the renderer
    discriminator: DiscriminatorKind = "paper"
    discriminator_width: float = 1.0  # paper's discriminator only
    batch: int = 16  # samples per step, over all processes
    micro_batch: int | None = None  # samples computed together (minibatch deviation included); None: the full batch
    generator_rate: float = 2e-3  # Adam learning rate
    discriminator_rate: float = 2e-3
    decay_steps: int | None = None  # steps over which both learning rates decay linearly to zero; None: constant
    warmup_steps: int = 0  # first steps that train only the discriminators, for a generator that is already trained
    position_weight: float = 1.0  # lambda_ar, Eq. 6; 0 if pictures have no vertical position
    diversity_weight: float = 1.0  # lambda_div, Eq. 6
    diversity_norm: DistanceNorm = (
        "mean"  # of the distances in L_div; "sum" weights it by cells of z_l over cells of z_S
    )
    r1_weight: float = 10.0  # paper's discriminator only
    r1_every: int = 16  # steps between lazy R1 terms
    path_weight: float = 2.0
    path_every: int = 4  # steps between lazy path length terms
    mixing: float = 0.9  # probability that a batch mixes two styles
    augment: Augmentation = "none"
    colour_jitter: float = 1.0  # factor on DiffAugment's ranges of brightness, saturation and contrast
    ada_target: float = 0.6  # ADA's target for the mean sign of the discriminator's logits on real images
    pre_resize: int | None = None  # resize photographs to this short side (px) first (the paper's 128)
    turns: bool = False  # turn photographs by quarters, for pictures without up and down
    beyond: float = 0.0  # share of patches far above or below the strip, compared with the edges of photographs
    ema: float = 0.5 ** (32 / 10_000)  # decay per step
    steps: int = 100_000  # length of the run, if --steps gives no other

    def __post_init__(self) -> None:
        for name in ("scales", "scale_shares"):  # JSON gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_batch()
        if not 0 <= self.colour_jitter <= 1:
            raise InputError(f"colour_jitter {self.colour_jitter} is out of range; allowed is 0 to 1")
        if not 0 <= self.beyond < 1:
            raise InputError(f"beyond {self.beyond} is out of range; allowed is a share from 0 to less than 1")
        for name in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(
                    f"{name} {getattr(self, name)} is out of range; allowed is more than 0 and less than 1"
                )
        if self.steps < 1:
            raise InputError(f"steps {self.steps} is out of range; allowed are 1 step or more")
        if self.decay_steps is not None and self.decay_steps < 1:
            raise InputError(f"decay_steps {self.decay_steps} is out of range; allowed are 1 step or more")
        if self.discriminator == "projected" and self.r1_weight:
            raise InputError(
                f"r1_weight {self.r1_weight} is not possible with the projected discriminator: the penalty on its "
                "gradient outweighs every other loss term; give r1_weight 0"
            )
        self._check_position()
        self._check_scales()

    def _check_batch(self) -> None:
        """Raise InputError if batch and micro-batch are not even, or do not divide."""
        if self.batch < 2 or self.batch % 2:
            raise InputError(f"batch {self.batch} is not possible; samples come in pairs: give an even number from 2")
        if self.micro_batch is not None and (self.micro_batch % 2 or not 2 <= self.micro_batch <= self.batch):
            raise InputError(
                f"micro-batch {self.micro_batch} is not possible; give an even number from 2 to {self.batch}, the batch"
            )
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise InputError(
                f"batch {self.batch} is not a multiple of micro-batch {self.micro_batch}; change one of them"
            )

    def _check_scales(self) -> None:
        """Raise InputError if a view is too small for patches, shares do not fit the scales, or an option needs one scale."""
        if self.view is not None and not self.scales and self.view <= self._one_scale_config.patch_px:
            least = self._one_scale_config.patch_px + 1
            raise InputError(f"view {self.view} px is too small for patches; give at least {least} px")
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps {self.warmup_steps} is out of range; allowed are 0 steps or more")
        if not 0 <= self.fusion <= 1:
            raise InputError(f"fusion {self.fusion} is out of range; allowed is a share from 0 to 1")
        count = len(self.trained_scales)
        if self.scale_shares and (len(self.scale_shares) != count or min(self.scale_shares) < 1):
            raise InputError(
                f"scale_shares {self.scale_shares} do not fit {count} scales; give {count} whole numbers from 1"
            )
        if not self.scales:
            return
        if self.pre_resize is not None:
            raise InputError(
                f"pre_resize {self.pre_resize} is not possible with several scales: the finest would learn enlarged "
                "photographs; leave it out"
            )
        if not self.patches or self.padding:
            raise InputError(f"scales {self.scales} are not possible without patches or with padding; give no scales")

    def _check_position(self) -> None:
        """Raise InputError if an option needs a vertical position and pictures have none."""
        if self.has_position:
            return
        cause = f"coordinates {self.coordinates!r}" if self.patches else "patches false"
        for name in ("position_weight", "beyond"):
            if getattr(self, name):
                raise InputError(
                    f"{name} {getattr(self, name)} is not possible with {cause}: pictures then have no vertical position; "
                    f"give {name} 0"
                )

    @property
    def generator_config(self) -> GeneratorConfig:
        """Configuration of the generator to train, with its scales and view."""
        return replace(self._one_scale_config, scales=self.scales, view_px=self.view)

    @property
    def _one_scale_config(self) -> GeneratorConfig:
        return preset(
            self.generator,
            width=self.width,
            coordinates=self.coordinates,
            structure=self.structure,
            padding=self.padding,
        )

    @property
    def trained_scales(self) -> tuple[Scale, ...]:
        """The scales that are trained, coarsest first. Without ``patches`` a view has the size of a patch."""
        scales = judged_scales(self.generator_config)
        return scales if self.patches else tuple(replace(scale, view_px=scale.patch_px) for scale in scales)

    def scale_at(self, step: int) -> tuple[int, int]:
        """(index into ``trained_scales``, number of earlier steps of that scale) for step ``step``, counted from 0.

        Scales take turns in a fixed order, so the cost of a step is that of one batch of patches.
        """
        shares = self.scale_shares or (1,) * len(self.trained_scales)
        order = [index for index, share in enumerate(shares) for _ in range(share)]
        cycle, place = divmod(step, len(order))
        index = order[place]
        return index, cycle * shares[index] + order[:place].count(index)

    @property
    def has_position(self) -> bool:
        """Whether patches have a vertical position: only patches of a scenery do."""
        return self.coordinates == "scenery" and self.patches

    @property
    def micro_batch_size(self) -> int:
        """Samples computed together, over which minibatch deviation and path length run."""
        return self.micro_batch or self.batch

    @property
    def view_px(self) -> int:
        """Short side in px of a photograph's view at the finest scale."""
        return self.trained_scales[-1].view_px

    def real_px_per_unit(self, scale: Scale) -> float:
        """Pixels between vertical targets 0 and 1 of a photograph's patches; infinite without a vertical position."""
        return scale.room_px / 2 if self.has_position else math.inf

    def fake_px_per_unit(self, scale: Scale) -> float:
        """Pixels between vertical targets 0 and 1 of generated patches; infinite without a vertical position.

        With ``scales``, rows of a world are rows of the view. The paper's one scale spreads its V starts farther.
        """
        if self.scales or not self.has_position:
            return self.real_px_per_unit(scale)
        return (VERTICAL_STARTS - 1) * self.generator_config.cell_px / 2

    def rate_factor(self, step: int) -> float:
        """Factor of both learning rates at step ``step``, counted from 0: linear decay from 1 to 0."""
        return 1.0 if self.decay_steps is None else max(0.0, 1 - step / self.decay_steps)

    def to_dict(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def with_values(self, **values: Any) -> "Recipe":
        """Return a copy with some values replaced; None keeps a value."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})

    def with_discriminator(self, discriminator: DiscriminatorKind | None) -> "Recipe":
        """Return a copy with another discriminator, its learning rate and its R1 weight; None keeps the discriminator."""
        if discriminator is None or discriminator == self.discriminator:
            return self
        return replace(self, **_DISCRIMINATOR_SETTINGS[discriminator])

    def with_coordinates(self, coordinates: CoordinateSystem | None) -> "Recipe":
        """Return a copy with other coordinates, and with or without L_ar, as they have a vertical position or not.

        None keeps the coordinates.
        """
        if coordinates is None or coordinates == self.coordinates:
            return self
        position = {"position_weight": Recipe.position_weight} if coordinates == "scenery" else _NO_POSITION
        return replace(self, coordinates=coordinates, **position)


# Settings of each discriminator. R1 penalises the gradient in the pixels of photographs. Through frozen features it
# outweighs the adversarial loss by orders of magnitude (docs/decisions.md), and the heads would learn nothing else.
_DISCRIMINATOR_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"discriminator": "paper", "discriminator_rate": 2e-3, "r1_weight": 10.0},
    "projected": {"discriminator": "projected", "discriminator_rate": 2e-4, "r1_weight": 0.0},
}

# Pictures without up and down have no vertical position to predict, and no sky or ground to train beyond a strip.
_NO_POSITION: Mapping[str, Any] = {"position_weight": 0.0, "beyond": 0.0}

# The paper's training (Section 3.5, Appendix) with the numbers of the released configurations: batch 16, Adam 0.002, lazy R1
# and path length, 800,000 steps at 101 px. The authors' data: 400,000 photographs of at least 1024 px (Flickr-Landscape).
# Their hardware: one TITAN X with 12 GB at 101 px, four V100 above. We have not repeated these runs.
_PAPER = Recipe("scenery-101", steps=800_000)
_PAPER_LARGER: Mapping[str, Any] = {"steps": 1_600_000}  # above 101 px

# For few photographs and modest hardware: a narrow generator, the projected discriminator and augmentation.
_SMALL = Recipe(
    "scenery-101-small",
    diversity_weight=0.1 * 35**2 / 11**2,  # tuned as 0.1 on distances that are summed over 35 and 11 cells a side
    path_weight=0.0,
    augment="diffaugment",
    beyond=0.25,
    ema=0.999,
    **_DISCRIMINATOR_SETTINGS["projected"],
)

# Landscapes at four scales: full views of 98 px, then patches of about 101 px from views of 197, 394 and 788 px.
_SCALES = replace(
    _SMALL,
    generator="scenery-small",
    scales=(3, 4, 5, 6),
    view=788,
    diversity_weight=0.1,
    diversity_norm="sum",  # 0.6, 1.0, 1.6 and 2.0 per element at the four scales, whose patches have 16 to 7 cells
    beyond=0.15,
    mixing=0.5,
    fusion=0.15,
    colour_jitter=0.5,
)

RECIPES: Mapping[str, Recipe] = {
    # Landscapes with a horizon, the paper's main setting.
    "scenery-101": _PAPER,
    # InfinityGAN-HR: 197 px in the authors' table of models, 389 px and 1,600,000 steps in their configuration.
    "scenery-197": replace(_PAPER, generator="scenery-197", **_PAPER_LARGER),
    "scenery-389": replace(_PAPER, generator="scenery-389", **_PAPER_LARGER),
    # InfinityGAN-UR: views of 1024 px, the smallest size of the authors' photographs, and 1,600,000 steps.
    "scenery-773": replace(_PAPER, generator="scenery-773", view=1024, **_PAPER_LARGER),
    # Bridges and towers of LSUN have ground and sky, so the settings are those of landscapes: there is no released
    # configuration for them. LSUN's pictures (256 px) are large enough for views of 197 px.
    "lsun-like": _PAPER,
    # Pictures from above, equal in all directions: coordinates are periodic in both axes, patches start at any row.
    # The released configuration "maps": 2,196 pictures of 256 px, no L_ar, 800,000 steps.
    "satellite": replace(_PAPER, coordinates="texture", **_NO_POSITION),
    # Objects without order (crowds, shelves, foliage): coordinates are constant, so z_l alone places the objects.
    "object": replace(_PAPER, coordinates="object", **_NO_POSITION),
    # For hundreds of photographs of 800 px and two CPU cores. Trains every scale from the full view to the finest detail.
    # The shipped model.
    "scenery-small": _SCALES,
    # One scale: recognisable patches after one or two hours from photographs of 197 px.
    "scenery-101-small": _SMALL,
    # The same with patches of four times as many pixels, from photographs of at least 389 px: for a small GPU.
    "scenery-197-small": replace(_SMALL, generator="scenery-197-small"),
    # The shipped models of lands seen from above: four scales, all eight orientations of the photographs.
    "planet": replace(_SCALES, coordinates="texture", turns=True, **_NO_POSITION),
    # The small settings for the other two kinds of picture. Not measured.
    "satellite-small": replace(_SMALL, coordinates="texture", **_NO_POSITION),
    "object-small": replace(_SMALL, coordinates="object", **_NO_POSITION),
    # For tests: trains in seconds and gives no useful model.
    "tiny": Recipe("tiny", discriminator_width=1 / 32, batch=4),
    "tiny-scales": replace(_SCALES, generator="tiny-scales", beyond=0.25, mixing=0.9, fusion=0.0, batch=2),
}

# StyleGAN2 without a constant input (NCI): z_l is the input of the texture synthesizer. As in the authors'
# configurations it has no coordinates, and neither L_div nor L_ar.
_NCI: Mapping[str, Any] = {"structure": "none", "coordinates": "object", "diversity_weight": 0.0, **_NO_POSITION}
_ONE_SCALE: Mapping[str, Any] = {"scales": (), "scale_shares": (), "view": None}  # as in the paper

# The paper's ablations, as changes of a recipe.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "stylegan2-nci": {**_NCI, **_ONE_SCALE, "padding": True, "patches": False},
    "stylegan2-nci-patched": {**_NCI, **_ONE_SCALE, "padding": True},
    "stylegan2-nci-pfg": _NCI,  # the padding-free generator, without the structure synthesizer
    "no-unfolding": {"structure": "pointwise"},
    "no-diversity": {"diversity_weight": 0.0},
    "no-position": {"position_weight": 0.0},
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``. Raises InputError for an unknown name.

    >>> from infgen.train import find_recipe
    >>> find_recipe("scenery-101").batch
    16
    """
    if name not in RECIPES:
        raise InputError(f"preset {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def ablate(recipe: Recipe, name: str | None) -> Recipe:
    """Return a copy of ``recipe`` with the ablation ``name``; None keeps it. Raises InputError for an unknown name."""
    if name is None:
        return recipe
    if name not in ABLATIONS:
        raise InputError(f"ablation {name!r} is unknown; choose one of {', '.join(ABLATIONS)}")
    return replace(recipe, **ABLATIONS[name])

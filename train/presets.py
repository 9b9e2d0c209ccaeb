"""Training recipes: every number of a run in one frozen record, the named ones, and the paper's ablations of them.

What each preset is for, what it needs and what to expect of it stands beside it here, and as one table in docs/presets.md.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from infgen.errors import InputError
from infgen.model.config import CoordinateSystem, GeneratorConfig, Structure, preset
from infgen.model.scales import Scale, judged_scales

Augmentation = Literal["none", "diffaugment", "ada"]
DiscriminatorKind = Literal["paper", "projected"]

VERTICAL_STARTS = 10  # V: rows at which a generated patch may begin, one cell apart
BEYOND_CELLS = 24  # farther than this from the strip the network sees nothing but saturated coordinates


@dataclass(frozen=True)
class Recipe:
    """One training run. Weights of 0 switch a term off."""

    generator: str  # name of a generator preset
    width: float = 1.0  # multiplies the generator's channels
    coordinates: CoordinateSystem = "scenery"
    structure: Structure = "implicit"  # ablations: "pointwise" is G_S without feature unfolding, "none" no G_S
    padding: bool = False  # ablation: a texture synthesizer that pads with zeros
    patches: bool = (
        True  # ablation, where false: whole views, brought to the size of a patch, and one place of the world
    )
    view: int | None = (
        None  # short side of a view in px, at the last level; None: what 17 cells give, 197 px at 16 px a cell
    )
    scales: tuple[
        int, ...
    ] = ()  # levels whose RGB sum is judged, each by a discriminator of its own; empty: only the last
    scale_shares: tuple[int, ...] = ()  # steps that each scale gets in turn, coarsest first; empty: one each
    fusion: float = 0.0  # share of steps whose pictures mix two styles over space, by the renderer's own weight maps
    discriminator: DiscriminatorKind = "paper"
    discriminator_width: float = 1.0  # paper's discriminator only
    batch: int = 16  # samples of one step, whatever the number of processes
    micro_batch: int | None = None  # samples computed together (minibatch deviation included); None: the whole batch
    generator_rate: float = 2e-3  # Adam
    discriminator_rate: float = 2e-3
    decay_steps: int | None = None  # steps over which both rates fall linearly to nothing; None: they stay
    warmup_steps: int = (
        0  # steps at the start in which only the discriminators learn, for a generator that is trained already
    )
    position_weight: float = 1.0  # lambda_ar, Eq. 6; 0 where pictures have no vertical position
    diversity_weight: float = 1.0  # lambda_div, Eq. 6
    r1_weight: float = 10.0  # paper's discriminator only
    r1_every: int = 16  # steps between lazy R1 terms
    path_weight: float = 2.0
    path_every: int = 4  # steps between lazy path length terms
    mixing: float = 0.9  # probability that a batch mixes two styles
    augment: Augmentation = "none"
    ada_target: float = 0.6  # share of real images judged real, less those judged generated, that ADA aims at
    pre_resize: int | None = None  # short side in px through which photographs pass first (the paper's 128)
    beyond: float = 0.0  # share of patches far above or below the strip, judged against the edges of photographs
    ema: float = 0.5 ** (32 / 10_000)  # per step

    def __post_init__(self) -> None:
        for name in ("scales", "scale_shares"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.batch < 2 or self.batch % 2:
            raise InputError(
                f"batch {self.batch} is not possible; samples come in pairs, so give an even number from 2"
            )
        if self.micro_batch is not None and (self.micro_batch % 2 or not 2 <= self.micro_batch <= self.batch):
            raise InputError(f"micro-batch {self.micro_batch} is not possible; give an even number from 2 to the batch")
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise InputError(f"batch {self.batch} is not a multiple of micro-batch {self.micro_batch}; make it one")
        if not 0 <= self.beyond < 1:
            raise InputError(f"beyond {self.beyond} is out of range; allowed is a share from 0 to less than 1")
        for name in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(
                    f"{name} {getattr(self, name)} is out of range; allowed is more than 0 and less than 1"
                )
        if self.decay_steps is not None and self.decay_steps < 1:
            raise InputError(f"decay_steps {self.decay_steps} is out of range; allowed are 1 step or more")
        if self.discriminator == "projected" and self.r1_weight:
            raise InputError(
                f"r1_weight {self.r1_weight} is not possible with the projected discriminator, whose slope in the pixels "
                "that penalty would flatten; give r1_weight 0"
            )
        self._check_position()
        self._check_scales()

    def _check_scales(self) -> None:
        """Refuse views without room for patches, shares that do not fit the scales, and what needs one scale."""
        if self.view is not None and not self.scales and self.view <= self._network.patch_px:
            least = self._network.patch_px + 1
            raise InputError(f"view {self.view} px is too small for patches; give at least {least} px")
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps {self.warmup_steps} is out of range; allowed are 0 steps or more")
        if not 0 <= self.fusion <= 1:
            raise InputError(f"fusion {self.fusion} is out of range; allowed is a share from 0 to 1")
        count = len(self.judged)
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
        """Refuse what is about the vertical position where pictures have none."""
        if self.has_position:
            return
        given = f"coordinates {self.coordinates!r}" if self.patches else "patches false"
        for name in ("position_weight", "beyond"):
            if getattr(self, name):
                raise InputError(
                    f"{name} {getattr(self, name)} is not possible with {given}: pictures then have no vertical position; "
                    f"give {name} 0"
                )

    @property
    def generator_config(self) -> GeneratorConfig:
        """The generator to train: its sizes, its scales, and the view that it is trained on."""
        return replace(self._network, scales=self.scales, view_px=self.view)

    @property
    def _network(self) -> GeneratorConfig:
        return preset(
            self.generator,
            width=self.width,
            coordinates=self.coordinates,
            structure=self.structure,
            padding=self.padding,
        )

    @property
    def judged(self) -> tuple[Scale, ...]:
        """The scales that are judged, coarsest first. Without ``patches`` a view is as large as a patch."""
        scales = judged_scales(self.generator_config)
        return scales if self.patches else tuple(replace(scale, view_px=scale.patch_px) for scale in scales)

    def turn(self, step: int) -> tuple[int, int]:
        """(scale, as an index of ``judged``; earlier steps of that scale) of step ``step``, counted from 0.

        Scales take turns in a fixed order, so that the cost of a step is that of one batch of patches.
        """
        shares = self.scale_shares or (1,) * len(self.judged)
        order = [index for index, share in enumerate(shares) for _ in range(share)]
        cycle, place = divmod(step, len(order))
        index = order[place]
        return index, cycle * shares[index] + order[:place].count(index)

    @property
    def has_position(self) -> bool:
        """Whether patches have a vertical position: only of a scenery, which has an above and a below, and not if whole."""
        return self.coordinates == "scenery" and self.patches

    @property
    def group(self) -> int:
        """Samples computed together: minibatch deviation and path length run over these."""
        return self.micro_batch or self.batch

    @property
    def view_px(self) -> int:
        """Short side to which photographs are brought at the finest scale, before patches are cut from them."""
        return self.judged[-1].view_px

    def real_px_per_unit(self, scale: Scale) -> float:
        """Pixels between vertical targets 0 and 1 of a photograph's patches; infinite where there is no such position."""
        return scale.room_px / 2 if self.has_position else math.inf

    def fake_px_per_unit(self, scale: Scale) -> float:
        """Pixels between vertical targets 0 and 1 of generated patches; infinite where there is no such position.

        With ``scales`` rows of a world are rows of the view. The paper's one scale spreads its V starts farther.
        """
        if self.scales or not self.has_position:
            return self.real_px_per_unit(scale)
        return (VERTICAL_STARTS - 1) * self.generator_config.cell_px / 2

    def rates_at(self, step: int) -> float:
        """Share of the learning rates that step ``step``, counted from 0, trains with."""
        return 1.0 if self.decay_steps is None else max(0.0, 1 - step / self.decay_steps)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def changed(self, **values: Any) -> "Recipe":
        """The same recipe with some values replaced; None leaves a value as it is."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})

    def judged_by(self, discriminator: DiscriminatorKind | None) -> "Recipe":
        """The same recipe with another discriminator and what that is trained with; None or its own changes nothing."""
        if discriminator is None or discriminator == self.discriminator:
            return self
        return replace(self, **_TRAINED_WITH[discriminator])


# What belongs to each discriminator. R1 asks for a small slope in the pixels of photographs; through frozen features it outweighs
# the adversarial loss by orders of magnitude (docs/decisions.md), and would leave nothing of the heads.
_TRAINED_WITH: Mapping[str, Mapping[str, Any]] = {
    "paper": {"discriminator": "paper", "discriminator_rate": 2e-3, "r1_weight": 10.0},
    "projected": {"discriminator": "projected", "discriminator_rate": 2e-4, "r1_weight": 0.0},
}

# The paper's training (Section 3.5, Appendix), on the released configurations' numbers: batch 16, Adam 0.002, lazy R1 and
# path length, 800,000 steps at 101 px. The authors' data: 400,000 photographs of at least 1024 px (Flickr-Landscape).
# Their hardware: one TITAN X with 12 GB at 101 px, four V100 above. We have not repeated these runs.
_PAPER = Recipe("scenery-101")

# Few photographs and modest hardware: a narrow generator against the projected discriminator, augmented.
_SMALL = Recipe(
    "scenery-101-small",
    diversity_weight=0.1,
    path_weight=0.0,
    augment="diffaugment",
    beyond=0.25,
    ema=0.999,
    **_TRAINED_WITH["projected"],
)

# Landscapes from the horizon to the pixel: whole views of 98 px, then patches of about 101 px of views of 197, 394 and 788 px.
_SCALES = replace(
    _SMALL, generator="scenery-small", scales=(3, 4, 5, 6), view=788, beyond=0.15, mixing=0.5, fusion=0.15
)

# What has no up and down has no vertical position to predict, and no sky or ground to train beyond a strip.
_NO_POSITION: Mapping[str, Any] = {"position_weight": 0.0, "beyond": 0.0}

RECIPES: Mapping[str, Recipe] = {
    # Landscapes with a horizon, the paper's main setting.
    "scenery-101": _PAPER,
    # InfinityGAN-HR: 197 px in the authors' table of models, 389 px and 1,600,000 steps in their configuration.
    "scenery-197": replace(_PAPER, generator="scenery-197"),
    "scenery-389": replace(_PAPER, generator="scenery-389"),
    # InfinityGAN-UR: views of 1024 px, which is what their photographs have at least, and 1,600,000 steps.
    "scenery-773": replace(_PAPER, generator="scenery-773", view=1024),
    # Bridges and towers of LSUN have ground and sky, so all is as for landscapes: there is no released configuration for
    # them. LSUN's pictures (256 px) are large enough for views of 197 px.
    "lsun-like": _PAPER,
    # Seen from above, alike in all directions: coordinates are periodic both ways, patches begin at any row of a period.
    # The released configuration "maps": 2,196 pictures of 256 px, no L_ar, 800,000 steps.
    "satellite": replace(_PAPER, coordinates="texture", **_NO_POSITION),
    # Things without place or order (crowds, shelves, foliage): constant coordinates, so z_l alone says what is where.
    "object": replace(_PAPER, coordinates="object", **_NO_POSITION),
    # Hundreds of photographs of 800 px and two CPU cores. Every scale from the whole view to the last detail is judged.
    # The shipped model.
    "scenery-small": _SCALES,
    # One scale: recognisable patches after an hour or two from photographs of 197 px.
    "scenery-101-small": _SMALL,
    # The same with patches of four times as many pixels, from photographs of at least 389 px: for a small GPU.
    "scenery-197-small": replace(_SMALL, generator="scenery-197-small"),
    # The small settings for the other two kinds of picture. Not measured.
    "satellite-small": replace(_SMALL, coordinates="texture", **_NO_POSITION),
    "object-small": replace(_SMALL, coordinates="object", **_NO_POSITION),
    # For tests: seconds, learns nothing worth looking at.
    "tiny": Recipe("tiny", discriminator_width=1 / 32, batch=4),
    "tiny-scales": replace(_SMALL, generator="tiny-scales", scales=(3, 4, 5, 6), view=788, batch=2),
}

# StyleGAN2 without a constant input (NCI): z_l goes straight into the texture synthesizer. As in the authors'
# configurations it knows no coordinates, and has neither L_div nor L_ar.
_NCI: Mapping[str, Any] = {"structure": "none", "coordinates": "object", "diversity_weight": 0.0, **_NO_POSITION}
_ONE_SCALE: Mapping[str, Any] = {"scales": (), "scale_shares": (), "view": None}  # as in the paper

# The paper's ablations: what each changes in a recipe.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "stylegan2-nci": {**_NCI, **_ONE_SCALE, "padding": True, "patches": False},
    "stylegan2-nci-patched": {**_NCI, **_ONE_SCALE, "padding": True},
    "stylegan2-nci-pfg": _NCI,  # the padding-free generator, without the structure synthesizer
    "no-unfolding": {"structure": "pointwise"},
    "no-diversity": {"diversity_weight": 0.0},
    "no-position": {"position_weight": 0.0},
}


def recipe(name: str) -> Recipe:
    """The recipe ``name``. Raises InputError for an unknown one."""
    if name not in RECIPES:
        raise InputError(f"preset {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def ablate(recipe: Recipe, name: str | None) -> Recipe:
    """``recipe`` with the ablation ``name`` switched on; None leaves it as it is. Raises InputError for an unknown one."""
    if name is None:
        return recipe
    if name not in ABLATIONS:
        raise InputError(f"ablation {name!r} is unknown; choose one of {', '.join(ABLATIONS)}")
    return replace(recipe, **ABLATIONS[name])

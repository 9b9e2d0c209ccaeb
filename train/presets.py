"""Training recipes: every number of a run in one frozen record, and the named ones with what to expect of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from infgen.errors import InputError
from infgen.model.config import PATCH_CELLS, CoordinateSystem, GeneratorConfig, preset
from infgen.world import geometry

Augmentation = Literal["none", "diffaugment", "ada"]

VIEW_CELLS = 17  # a training view is what 17 cells would give: 197 px for 101 px patches
VERTICAL_STARTS = 10  # V: rows at which a generated patch may begin, one cell apart
BEYOND_CELLS = 24  # farther than this from the strip the network sees nothing but saturated coordinates


@dataclass(frozen=True)
class Recipe:
    """One training run. Weights of 0 switch a term off."""

    generator: str  # name of a generator preset
    width: float = 1.0  # multiplies the generator's channels
    coordinates: CoordinateSystem = "scenery"
    discriminator: Literal["paper", "projected"] = "paper"
    discriminator_width: float = 1.0  # paper's discriminator only
    batch: int = 16  # samples of one step, whatever the number of processes
    micro_batch: int | None = None  # samples computed together (batch statistics included); None: the whole batch
    generator_rate: float = 2e-3  # Adam
    discriminator_rate: float = 2e-3
    position_weight: float = 1.0  # lambda_ar, Eq. 6
    diversity_weight: float = 1.0  # lambda_div, Eq. 6
    r1_weight: float = 10.0
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

    @property
    def generator_config(self) -> GeneratorConfig:
        """Sizes of the generator to train."""
        return preset(self.generator, width=self.width, coordinates=self.coordinates)

    @property
    def group(self) -> int:
        """Samples computed together: batch statistics run over these."""
        return self.micro_batch or self.batch

    @property
    def view_px(self) -> int:
        """Short side to which photographs are brought before random patches are cut from them."""
        return geometry.tile_px(VIEW_CELLS, levels=self.generator_config.levels)

    @property
    def real_px_per_unit(self) -> float:
        """Pixels between vertical targets 0 and 1 of a photograph's patches."""
        return (self.view_px - self.generator_config.patch_px) / 2

    @property
    def fake_px_per_unit(self) -> float:
        """Pixels between vertical targets 0 and 1 of generated patches."""
        return (VERTICAL_STARTS - 1) * self.generator_config.cell_px / 2

    @property
    def local_cells(self) -> int:
        """Cells along one side of z_l for a patch: 35."""
        return PATCH_CELLS + 2 * geometry.STRUCTURE_HALO

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def changed(self, **values: Any) -> "Recipe":
        """The same recipe with some values replaced; None leaves a value as it is."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})


_PAPER = Recipe("scenery-101")

RECIPES: Mapping[str, Recipe] = {
    # The paper's settings (Section 3.5, Appendix): days on one large GPU, on tens of thousands of photographs.
    "scenery-101": _PAPER,
    "scenery-197": replace(_PAPER, generator="scenery-197"),
    "scenery-389": replace(_PAPER, generator="scenery-389"),
    "scenery-773": replace(_PAPER, generator="scenery-773"),
    # Hundreds of photographs and two CPU cores: unmistakable landscapes after an hour or two. The shipped model.
    "scenery-101-small": Recipe(
        "scenery-101-small",
        discriminator="projected",
        discriminator_rate=2e-4,
        diversity_weight=0.1,
        r1_weight=0.0,
        path_weight=0.0,
        augment="diffaugment",
        beyond=0.25,
        ema=0.999,
    ),
    # For tests: seconds, learns nothing worth looking at.
    "tiny": Recipe("tiny", discriminator_width=1 / 32, batch=4),
}


def recipe(name: str) -> Recipe:
    """The recipe ``name``. Raises InputError for an unknown one."""
    if name not in RECIPES:
        raise InputError(f"preset {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]

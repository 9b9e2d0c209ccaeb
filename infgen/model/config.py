"""Define the configuration of a generator, and the named presets of the paper."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from infgen import geometry
from infgen.errors import InputError, ModelFileError

CoordinateSystem = Literal["scenery", "texture", "object"]
Structure = Literal["implicit", "pointwise", "none"]
COORDINATE_CHANNELS: Mapping[str, int] = {"scenery": 3, "texture": 4, "object": 1}

PATCH_CELLS = 11  # cells of z_S in one training patch
MAX_CHANNELS = 8192
MAX_LEVELS = 10
MAX_VIEW_PX = 2**20


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of one generator. ``texture_channels`` has two entries per level: upsampling convolution, plain convolution.

    >>> from infgen import GeneratorConfig
    >>> config = GeneratorConfig((8, 8, 4, 4), local_channels=4, global_channels=8)
    >>> config.levels, config.cell_px
    (2, 4)
    """

    texture_channels: tuple[int, ...]
    local_channels: int  # channels of z_l and of z_S
    global_channels: int  # D, length of z_g and of every style vector
    coordinates: CoordinateSystem = "scenery"
    structure: Structure = "implicit"  # the paper's G_S; G_S without feature unfolding; no G_S (see model.structure)
    padding: bool = False  # the texture synthesizer pads with zeros, as StyleGAN2 does: for comparison, not seamless
    scales: tuple[int, ...] = ()  # levels whose RGB sum was trained as a picture; empty: only the last
    view_px: int | None = None  # height of a training view at the last level; None: not stated in the file
    halvings: int = 0  # one pixel of this network covers 2**halvings px of the world (see ``coarser``)

    def __post_init__(self) -> None:
        channels = (*self.texture_channels, self.local_channels, self.global_channels)
        if len(self.texture_channels) % 2 or not 2 <= len(self.texture_channels) <= 2 * MAX_LEVELS:
            raise InputError(
                f"texture_channels has {len(self.texture_channels)} entries; allowed are 2 per level and 1 to {MAX_LEVELS} levels"
            )
        if not all(type(c) is int and 1 <= c <= MAX_CHANNELS for c in channels):
            raise InputError(f"channel counts {channels} must be whole numbers from 1 to {MAX_CHANNELS}")
        if self.coordinates not in get_args(CoordinateSystem):
            raise InputError(
                f"coordinates {self.coordinates!r} is unknown; allowed are {', '.join(COORDINATE_CHANNELS)}"
            )
        if self.structure not in get_args(Structure):
            raise InputError(f"structure {self.structure!r} is unknown; allowed are {', '.join(get_args(Structure))}")
        if type(self.padding) is not bool:
            raise InputError(f"padding {self.padding!r} is unknown; allowed are true and false")
        self._check_scales()

    def _check_scales(self) -> None:
        """Raise InputError for scales, a view or halvings that these levels cannot have."""
        levels, scales = self.levels, self.scales
        rising = all(type(s) is int for s in scales) and list(scales) == sorted(set(scales))
        if scales and not (rising and scales[0] >= 1 and scales[-1] == levels):
            raise InputError(f"scales {scales} are not possible; give rising levels from 1, the last one {levels}")
        if self.view_px is not None and not (type(self.view_px) is int and 1 <= self.view_px <= MAX_VIEW_PX):
            raise InputError(f"view_px {self.view_px!r} is out of range; allowed are 1 to {MAX_VIEW_PX} px")
        if not (type(self.halvings) is int and 0 <= self.halvings <= MAX_LEVELS - levels):
            raise InputError(f"halvings {self.halvings!r} is out of range; allowed are 0 to {MAX_LEVELS - levels}")

    @property
    def levels(self) -> int:
        """L, the number of upsampling blocks."""
        return len(self.texture_channels) // 2

    @property
    def world_levels(self) -> int:
        """Levels of the whole generator, whose pixels are px of the world: ``levels`` plus ``halvings``."""
        return self.levels + self.halvings

    @property
    def cell_px(self) -> int:
        """S = 2**L, px of the world per cell."""
        return geometry.cell_px(self.world_levels)

    @property
    def has_horizon(self) -> bool:
        """Whether y = 0 is a horizon. Without one every row is equal, and worlds can repeat along y."""
        return self.coordinates == "scenery"

    @property
    def pictures(self) -> tuple[int, ...]:
        """Levels with a trained RGB output: ``scales``, or the last level."""
        return self.scales or (self.levels,)

    def coarser(self, halvings: int) -> "GeneratorConfig":
        """Return the configuration of the first ``levels - halvings`` levels, which render the world at scale 1 / 2**halvings.

        Raises InputError if that level has no trained RGB output.
        """
        if not halvings:
            return self
        level = self.levels - halvings
        if halvings < 0 or level not in self.pictures:
            possible = ", ".join(scale_name(self.levels - s) for s in reversed(self.pictures))
            raise InputError(
                f"scale {scale_name(halvings)} is no picture of this model; it draws {possible}: choose one of them, or "
                "train a model with scales"
            )
        return replace(
            self,
            texture_channels=self.texture_channels[: 2 * level],
            scales=tuple(s for s in self.scales if s <= level),
            view_px=None if self.view_px is None else self.view_px >> halvings,
            halvings=self.halvings + halvings,
        )

    @property
    def patch_px(self) -> int:
        """Side of a training patch in pixels: 101, 197, 389, 773 for 4 to 7 levels."""
        return geometry.tile_px(PATCH_CELLS, levels=self.levels)

    @property
    def style_layers(self) -> int:
        """Number of W+ rows that this network reads: one per texture convolution and one for the last ToRGB."""
        return len(self.texture_channels) + (2 if self.halvings else 1)

    @property
    def world_style_layers(self) -> int:
        """Number of W+ rows in worlds and layouts, those of the whole generator."""
        return 2 * self.world_levels + 1

    @property
    def coordinate_channels(self) -> int:
        """Number of coordinate channels that every layer of G_S reads in addition to its features."""
        return COORDINATE_CHANNELS[self.coordinates]

    def noise_shapes(self, cells: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the noise size (height, width) of every texture convolution for ``cells`` (rows, columns) of z_S.

        Raises ValueError if the cells give no pixels.
        """
        rows, columns = (self._noise_sizes(n) for n in cells)
        return list(zip(rows, columns, strict=True))

    def _noise_sizes(self, cells: int) -> list[int]:
        sizes = [span.size for span in geometry.layer_spans(0, cells, levels=self.levels).noise]
        return [self.texture_cells(cells) << (i // 2 + 1) for i in range(len(sizes))] if self.padding else sizes

    def texture_cells(self, cells: int) -> int:
        """Return how many of ``cells`` cells of z_S, along one axis, the texture synthesizer reads: all without padding.

        With padding it reads the fewest cells in the middle that cover ``geometry.tile_px``. Otherwise the effect of padding
        at the border would lie almost completely outside these pixels.
        """
        pixels, size = geometry.tile_px(cells, levels=self.levels), geometry.cell_px(self.levels)
        return -(-pixels // size) if self.padding else cells

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping for ``from_dict``.

        Optional entries with default values are omitted, so that earlier versions can read the model.
        """
        given = {**asdict(self), "texture_channels": list(self.texture_channels), "scales": list(self.scales)}
        return {name: value for name, value in given.items() if name not in OPTIONAL or value != OPTIONAL[name]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GeneratorConfig":
        """Read a mapping of ``to_dict``. Raises ModelFileError for unknown, missing or illegal entries."""
        known = {f.name for f in fields(cls)}
        if set(data) - known or known - set(data) - set(OPTIONAL):
            raise ModelFileError(
                f"the model's configuration has entries {sorted(data)}; this version of infgen knows exactly {sorted(known)}"
            )
        lists = {name: data.get(name, []) for name in ("texture_channels", "scales")}
        for name, values in lists.items():
            if not isinstance(values, list):
                raise ModelFileError(
                    f"the model's configuration has {name} {values!r}; a list of whole numbers is needed"
                )
        try:
            return cls(**{**data, **{name: tuple(values) for name, values in lists.items()}})
        except InputError as error:
            raise ModelFileError(f"the model's configuration is not legal: {error}") from None


# Optional entries of model files and their defaults: the paper's method, trained at one scale.
OPTIONAL: Mapping[str, Any] = {"structure": "implicit", "padding": False, "scales": [], "view_px": None, "halvings": 0}


SCALE_NAMES = tuple("1" if k == 0 else f"1/{1 << k}" for k in range(MAX_LEVELS))  # by halvings


def scale_name(halvings: int) -> str:
    """Return the name of the scale 1 / 2**halvings: "1", "1/2", "1/4" ..."""
    return SCALE_NAMES[halvings] if 0 <= halvings < MAX_LEVELS else f"2**{-halvings}"


def parse_scale(name: str) -> int:
    """Return the halvings of a name from ``scale_name``. Raises InputError for any other text."""
    if name not in SCALE_NAMES:
        raise InputError(f"scale {str(name)[:20]!r} is unknown; give 1, 1/2, 1/4, 1/8 ...")
    return SCALE_NAMES.index(name)


def _official(levels: int) -> GeneratorConfig:
    # Paper, appendix: 512 channels up to 101 px, then halved with every level.
    widths = [max(512 >> max(0, level - 3), 16) for level in range(levels)]
    return GeneratorConfig(tuple(w for w in widths for _ in range(2)), local_channels=256, global_channels=512)


PRESETS: Mapping[str, GeneratorConfig] = {
    "scenery-101": _official(4),
    "scenery-197": _official(5),
    "scenery-389": _official(6),
    "scenery-773": _official(7),
    # Two CPU cores train this model in one or two hours.
    "scenery-101-small": GeneratorConfig((96, 96, 96, 96, 64, 64, 48, 48), local_channels=64, global_channels=128),
    "scenery-197-small": GeneratorConfig(
        (96, 96, 96, 96, 64, 64, 48, 48, 32, 32), local_channels=64, global_channels=128
    ),
    # Views of 788 px. The first levels cost least per pixel and are wide; the last ones draw detail alone.
    "scenery-small": GeneratorConfig(
        (128, 128, 128, 128, 96, 96, 64, 64, 32, 32, 24, 24), local_channels=80, global_channels=128
    ),
    # For tests and documentation examples: random weights, milliseconds per tile.
    "tiny": GeneratorConfig((8, 8, 8, 8, 6, 6, 4, 4), local_channels=6, global_channels=16),
    "tiny-scales": GeneratorConfig(
        (8, 8, 8, 8, 6, 6, 4, 4, 4, 4, 4, 4), local_channels=6, global_channels=16, scales=(3, 4, 5, 6), view_px=788
    ),
}


def preset(
    name: str,
    *,
    width: float = 1.0,
    coordinates: CoordinateSystem = "scenery",
    structure: Structure = "implicit",
    padding: bool = False,
) -> GeneratorConfig:
    """Return the preset ``name`` with channel counts multiplied by ``width`` (rounded to multiples of 4, at least 4).

    Raises InputError for an unknown name, a width outside 1/64 .. 4, or an unknown ``coordinates`` or ``structure``.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is unknown; choose one of {', '.join(PRESETS)}")
    if not 1 / 64 <= width <= 4:
        raise InputError(f"width {width} is out of range; allowed are 1/64 to 4")
    base = PRESETS[name]

    def scale_channels(channels: int) -> int:
        return channels if width == 1 else max(4, 4 * round(channels * width / 4))

    return GeneratorConfig(
        texture_channels=tuple(scale_channels(c) for c in base.texture_channels),
        local_channels=scale_channels(base.local_channels),
        global_channels=scale_channels(base.global_channels),
        coordinates=coordinates,
        structure=structure,
        padding=padding,
        scales=base.scales,
        view_px=base.view_px,
    )

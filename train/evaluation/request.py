"""What to measure, checked before anything is read or drawn, and how many pixels it draws."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from infgen.engines.eager import Precision
from infgen.errors import InputError, LimitError
from infgen.model.config import GeneratorConfig
from infgen.model.scales import judged_scales, nearest_scale
from infgen.train.evaluation.distances import MIN_SCORE_PICTURES
from infgen.train.evaluation.generated import CROPS_PER_STRIP, STRIP_PATCHES
from infgen.train.evaluation.metrics import Metric
from infgen.train.evaluation.whole_views import STRIP_VIEWS, paper_scale

Protocol = Literal["patches", "paper"]
PATCH_KINDS = (
    "frechet",
    "kernel",
    "precision",
    "recall",
    "inception-score",
)  # what looks at samples of the size of a training patch
MAX_N = 100_000  # features of so many pictures, 800 MB for Inception, are held at once
MAX_SCALED_PX = 8192  # side of the largest picture that is shrunk, 1 GB while it is
MAX_FUSED = 16  # styles in one world: views beside one another
DEFAULT_METRICS = ("fd-effnet", "diversity", "seam", "repetition")  # what works offline
DEFAULT_SCALES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Request:
    """What to measure. ``n``: real and generated pictures of each distance. ``scales``: of ScaleInv distances.

    ``protocol``: "patches" compares training patches, "paper" whole views of 128 px, see ``whole_views``.
    ``fused``: for each number a column of worlds with so many styles. ``floor``: a column of one half of the photographs
    against the other.
    """

    metrics: tuple[Metric, ...]
    _: KW_ONLY
    scales: tuple[int, ...] = DEFAULT_SCALES
    n: int = 1000
    seed: int = 0
    precision: Precision = "fp32"
    fused: tuple[int, ...] = ()
    floor: bool = False
    protocol: Protocol = "patches"

    def __post_init__(self) -> None:
        if not 2 <= self.n <= MAX_N:
            raise InputError(f"{self.n} pictures are not possible; give a number from 2 to {MAX_N}")
        if not self.scales or any(s < 1 for s in self.scales):
            raise InputError(f"scales {self.scales} are not possible; give whole numbers from 1, for example 1,2,4,8")
        if any(not 1 <= k <= MAX_FUSED for k in self.fused):
            raise InputError(
                f"fused {self.fused} is not possible; give numbers of styles from 1 to {MAX_FUSED}, for example 1,2,4"
            )
        if self.wants("inception-score") and self.n < MIN_SCORE_PICTURES:
            raise InputError(f"{self.n} pictures are too few for an Inception Score; give {MIN_SCORE_PICTURES} or more")

    def check(self, config: GeneratorConfig) -> None:
        """Raise LimitError where a picture would be too large, InputError where a model of ``config`` cannot do it."""
        largest, side = max(self.drawn_scales(), default=1), self._unit_px(config)
        if largest * side > MAX_SCALED_PX:
            raise LimitError(
                f"scale {largest} gives pictures of {largest * side} px, over the limit of {MAX_SCALED_PX} px a side; "
                f"give scales up to {MAX_SCALED_PX // side}"
            )
        if (self.fused or self.wants("fused-strip")) and config.padding:
            raise InputError("a model with zero padding draws one style only; leave out --fused and inf-fused metrics")
        if self.fused and self.protocol == "paper":
            raise InputError("--fused compares patches; leave it out, or give --protocol patches")

    def _unit_px(self, config: GeneratorConfig) -> int:
        """Side of the larger pictures at scale 1: a patch, or for a model with scales a whole view."""
        if self.protocol == "paper":
            return paper_scale(config).view_px
        last = judged_scales(config)[-1]
        return last.view_px if config.scales else last.patch_px

    def wants(self, *kinds: str) -> bool:
        """Whether a metric of one of ``kinds`` is asked for."""
        return any(m.kind in kinds for m in self.metrics)

    def of(self, *kinds: str) -> tuple[Metric, ...]:
        """The metrics of ``kinds`` that are asked for."""
        return tuple(m for m in self.metrics if m.kind in kinds)

    def at(self, scale: int) -> tuple[Metric, ...]:
        """The metrics that look at samples ``scale`` times larger than a patch."""
        kinds = ["scaleinv"] if scale in self.scales else []
        return self.of(*kinds, *(PATCH_KINDS if scale == 1 else ()))

    def drawn_scales(self) -> tuple[int, ...]:
        """Scales at which samples are drawn, in order."""
        return tuple(s for s in sorted({1, *self.scales}) if self.at(s))

    def pixels(self, config: GeneratorConfig, *, other: GeneratorConfig | None = None) -> int:
        """Pixels that the distances will draw of a model of ``config``, and of one of ``other`` beside it."""
        if self.protocol == "paper":
            return self._views(config) * (1 if other is None else 2)
        own = self._pixels(config, config) + len(self.fused) * self._patches(config, config)
        return own if other is None else own + self._pixels(config, other)

    def _views(self, config: GeneratorConfig) -> int:
        """Of whole views, larger ones and strips of them, in px of the paper's scale."""
        strips = -(-self.n // CROPS_PER_STRIP) * STRIP_VIEWS * (self.wants("strip") + self.wants("fused-strip"))
        larger = sum(s**2 for s in self.drawn_scales())
        return (strips + self.n * larger) * paper_scale(config).view_px ** 2

    def _pixels(self, config: GeneratorConfig, drawn_by: GeneratorConfig) -> int:
        """Of patches, larger pictures and strips, at the scales of ``config``."""
        patches, n = self._patches(config, drawn_by), self.n
        strips = -(-n // CROPS_PER_STRIP) * STRIP_PATCHES * self._squares(config, drawn_by)
        strips *= self.wants("strip") + self.wants("fused-strip")
        if config.scales:
            side = judged_scales(drawn_by)[-1].view_px
            return patches + strips + sum(-(-n // s) * s * side**2 for s in self.scales) * self.wants("scaleinv")
        larger = sum(s**2 for s in self.drawn_scales() if s > 1 or not self.wants(*PATCH_KINDS))
        return patches + strips + n * larger * self._squares(config, drawn_by)

    def _patches(self, config: GeneratorConfig, drawn_by: GeneratorConfig) -> int:
        return self.n * self._squares(config, drawn_by) * self.wants(*PATCH_KINDS)

    def _squares(self, config: GeneratorConfig, drawn_by: GeneratorConfig) -> int:
        """Pixels of one patch of every scale of ``config``, where a model of ``drawn_by`` draws it."""
        total, scales = 0, judged_scales(drawn_by)
        for scale in judged_scales(config):
            total += (scale.patch_px * nearest_scale(scales, scale.view_px).view_px // scale.view_px) ** 2
        return total

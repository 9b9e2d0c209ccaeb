"""Scale a photograph to the working height, and place it with its horizon at world row 0."""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.inversion.window import Target
from infgen.limits import MAX_INVERSION_PIXELS
from infgen.model.config import GeneratorConfig
from infgen.model.scales import Scale, judged_scales, nearest_scale
from infgen.perceptual import MIN_PX
from infgen.photo import Known, Photograph, resample, resize
from infgen.pixels import Pixels

WORKING_HEIGHT_PX = 197  # enough for the composition of a photograph; inverts in one or two minutes
HORIZON_LIMITS = (-1.0, 2.0)  # a photograph of the ground has its horizon above its upper edge
MIDDLE = 0.5
_SAMPLES = (96, 128)  # rows and columns of the thumbnail for horizon detection
_SEARCHED = (0.25, 0.75)
_SPREAD = 0.15  # standard deviation of the normal prior around the middle
_INDEPENDENT_ROWS = 8  # effective number of observations, since neighbouring rows are correlated
_LEAST_CONFIDENCE = 0.2

_Profile = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """Row of the horizon as a fraction of the height: 0 is the upper edge, 1 the lower edge.

    ``confidence``: share of the vertical colour change that it explains, 0 to 1; None for a given horizon.
    """

    fraction: float
    confidence: float | None = None


@dataclass(frozen=True)
class Placed:
    """A photograph at working size, (h, w, 3) uint8, at (``x``, ``y``) px of the working scale; ``known`` (h, w)."""

    photograph: Photograph
    pixels: Pixels
    _: KW_ONLY
    known: Known
    x: int
    y: int
    horizon: Horizon

    @property
    def region(self) -> Region:
        """Window of the photograph in px of the working scale."""
        height, width = self.known.shape
        return Region(self.x, self.y, width, height)

    @property
    def scale(self) -> tuple[float, float]:
        """Px of the file per working px, (horizontal, vertical)."""
        image = self.photograph.image
        return image.width / self.known.shape[1], image.height / self.known.shape[0]

    def target(self) -> Target:
        """Build the target of the inversion: picture (3, h, w) in [-1, 1] and mask."""
        picture = torch.from_numpy(self.pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous()
        mask = None if self.known.all() else torch.from_numpy(self.known)
        return Target(picture, mask, self.x, self.y)


def place(
    photograph: Photograph, *, height: int = WORKING_HEIGHT_PX, horizon: float | None = None, x: int = 0
) -> Placed:
    """Scale ``photograph`` to ``height`` px and put its left edge at ``x`` and its horizon at row 0 of the world.

    ``horizon``: a fraction of the height; None estimates it with ``find_horizon``. Raises InputError for a height or
    horizon out of range or a photograph that is too narrow, LimitError over INFGEN_MAX_INVERSION_PIXELS.
    """
    image = photograph.image
    width = round(image.width * height / image.height)
    _check_size(photograph, width, height)
    found = find_horizon(photograph) if horizon is None else Horizon(_check_horizon(horizon))
    pixels, known = resize(photograph, (width, height))
    return Placed(photograph, pixels, known=known, x=x, y=-round(found.fraction * height), horizon=found)


def working_scale(config: GeneratorConfig) -> Scale:
    """Return the scale for inversion: the model's view height nearest to the working height."""
    return nearest_scale(judged_scales(config), WORKING_HEIGHT_PX)


def working_config(config: GeneratorConfig) -> GeneratorConfig:
    """Return the configuration of the first levels of the model ``config``, which invert photographs."""
    return config.coarser(working_scale(config).halvings)


def find_horizon(photograph: Photograph) -> Horizon:
    """Estimate the horizon: the row between 1/4 and 3/4 of the height that best separates two colour profiles.

    Fits lines to mean colour and local contrast of the rows, one above and one below the candidate row. The score is the
    error removed against a single line (two-phase regression, Hinkley, Biometrika 57, 1970). A prior favours the middle,
    where models learn their horizon. If the best row explains little, returns the middle with confidence 0.
    """
    profile = _profile(photograph)
    rows = len(profile)
    above, below = _residuals(profile), _residuals(profile[::-1])[::-1]
    first, last = (round(share * rows) for share in _SEARCHED)
    split = np.arange(first, last + 1)
    total = float(above[rows])
    if total <= 1e-9 * rows:
        return Horizon(MIDDLE, 0.0)
    explained = 1 - (above[split] + below[split]) / total
    likely = -_INDEPENDENT_ROWS / 2 * np.log(1 - explained + 1e-3) - ((split / rows - MIDDLE) / _SPREAD) ** 2 / 2
    best = int(np.argmax(likely))
    confidence = float(explained[best])
    if confidence < _LEAST_CONFIDENCE:
        return Horizon(MIDDLE, 0.0)
    return Horizon(float(split[best]) / rows, confidence)


def _profile(photograph: Photograph) -> _Profile:
    """Luminance, both chroma channels and local contrast of each row, (rows, 4), over known pixels only."""
    rows, columns = _SAMPLES
    small, known = resample(photograph, (columns, rows), Image.Resampling.BOX)
    colour = np.asarray(small.convert("YCbCr"), np.float64) / 255
    weight = known.astype(np.float64) / 255
    pairs = weight[:, 1:] * weight[:, :-1]
    grain = np.abs(np.diff(colour[:, :, 0], axis=1))
    means = [_mean(colour[:, :, i], weight) for i in range(3)]
    return np.column_stack(
        [means[0], 2 * means[1], 2 * means[2], 4 * _mean(grain, pairs)]
    )  # scaled to similar magnitudes


def _mean(values: _Profile, weight: _Profile) -> _Profile:
    """Weighted mean of each row; rows without weight are interpolated."""
    total = weight.sum(1)
    seen = np.flatnonzero(total > 0)
    if not len(seen):
        return np.zeros(len(values))
    means = (values * weight).sum(1)[seen] / total[seen]
    return np.interp(np.arange(len(values)), seen, means)


def _residuals(profile: _Profile) -> _Profile:
    """Squared error of the best line through the first k rows, summed over columns, for k = 0 .. rows."""
    n = np.arange(1, len(profile) + 1, dtype=np.float64)
    t = n - 1
    y = profile - profile.mean(0)  # keeps the sums small for precision
    sum_t, sum_tt = t.cumsum(), (t * t).cumsum()
    sum_y, sum_yy, sum_ty = y.cumsum(0), (y * y).cumsum(0), (t[:, None] * y).cumsum(0)
    spread_t = np.maximum(sum_tt - sum_t**2 / n, 1e-12)[:, None]
    spread_y = sum_yy - sum_y**2 / n[:, None]
    together = sum_ty - sum_t[:, None] * sum_y / n[:, None]
    error = np.maximum(spread_y - together**2 / spread_t, 0).sum(1)
    return np.concatenate([[0.0], error])


def _check_horizon(horizon: float) -> float:
    low, high = HORIZON_LIMITS
    if not low <= horizon <= high:
        raise InputError(
            f"horizon {horizon} is out of range; allowed are fractions of the height from {low:g} to {high:g}, or auto"
        )
    return horizon


def _check_size(photograph: Photograph, width: int, height: int) -> None:
    limit = MAX_INVERSION_PIXELS.value()
    image = photograph.image
    if height < MIN_PX:
        raise InputError(f"height {height} px is too small; allowed are {MIN_PX} px and more")
    if width < MIN_PX:
        raise InputError(
            f"{photograph.name} of {image.width} x {image.height} px would be {width} px wide at the working height of "
            f"{height} px; it needs {MIN_PX} px: give a larger height or a wider photograph"
        )
    if width * height > limit:
        raise LimitError(
            f"{photograph.name} would have {width} x {height} px at the working height of {height} px, over the limit of "
            f"{limit} pixels; give a smaller height or raise {MAX_INVERSION_PIXELS.name}"
        )

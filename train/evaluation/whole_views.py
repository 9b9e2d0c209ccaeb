"""The paper's protocol (Appendix S, and its released code): whole views of 128 px instead of training patches.

A view is a square as high as a photograph. The model draws it at its own size, 197 px for the paper's model, and s times
larger at scale s. Both are shrunk to 128 px and compared with photographs whose middle square has 128 px.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.scales import Scale, judged_scales, nearest_scale
from infgen.progress import Progress, silent
from infgen.train.data.archives import SkippedFile
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.evaluation.generated import anchored_strip, channels_first, plain_strip, random_lefts, shrink
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.places import place
from infgen.train.evaluation.real import Photos

VIEW_PX = 128  # side at which views are compared
DRAWN_VIEW_PX = 197  # view of the paper's model
CROPS_PER_STRIP = 4
STRIP_VIEWS = 8  # width of a strip in views


def paper_scale(config: GeneratorConfig) -> Scale:
    """Return the scale of a model whose view is nearest to the paper's 197 px."""
    return nearest_scale(judged_scales(config), DRAWN_VIEW_PX)


@dataclass(frozen=True)
class WholeViews:
    """The middle squares of photographs whose short side is 128 px: without choice of place, and not mirrored."""

    photos: Photos

    view_px = patch_px = VIEW_PX

    @property
    def fingerprint(self) -> str:
        """A name for exactly these squares."""
        return f"{self.photos.fingerprint} middle squares"

    def __len__(self) -> int:
        return len(self.photos)

    def view(self, index: int) -> Tensor:
        """Return square ``index`` (128, 128, 3) uint8."""
        view = self.photos.view(index)
        top, left = ((size - VIEW_PX) // 2 for size in view.shape[:2])
        return view[top : top + VIEW_PX, left : left + VIEW_PX]

    def patch(self, sample: int, *, seed: int) -> tuple[Tensor, float]:
        """Return square ``sample`` (3, 128, 128) uint8, and position 0: it is the whole view."""
        return self.view(sample % len(self)).permute(2, 0, 1), 0.0


def open_whole_views(data: str | Path, *, progress: Progress = silent) -> tuple[WholeViews, list[SkippedFile]]:
    """Read the photographs of ``data`` at 128 px. Also returns the skipped files. Raises as ``PhotoPyramid.open``."""
    scale = Scale(level=4, halvings=0, view_px=VIEW_PX, cells=11, patch_px=VIEW_PX)
    pyramid, skipped = PhotoPyramid.open(data, (scale,), progress=progress)
    return WholeViews(pyramid.sets[0]), skipped


def whole_views(
    painter: Painter, *, n: int, seed: int, scale: int = 1, config: GeneratorConfig | None = None
) -> Iterator[Tensor]:
    """Draw ``n`` views (3, 128, 128) uint8, each of a world of its own, ``scale`` times larger than a view.

    The horizon is in the middle of every view, as in the released code. A view begins at any column. ``config``: of the
    generator that decides where; None: of the painter's.
    """
    side = scale * painter.scale.view_px
    for i in range(n):
        found = place(config or painter.config, painter.scale, i, seed=seed)
        drawn = painter.draw(found.world, Region(found.region.x, -(side // 2), side, side))
        yield shrink_view(channels_first(drawn), scale)


def strip_views(
    painter: Painter, *, n: int, seed: int, fused: bool, config: GeneratorConfig | None = None
) -> Iterator[Tensor]:
    """Cut ``n`` views (3, 128, 128) uint8 at random columns from strips one view high, four from each strip.

    ``fused``: the strip has a row of styles, see ``anchored_strip``; else it has one. ``config`` as in ``whole_views``.
    """
    side = painter.scale.view_px
    for i in range(-(-n // CROPS_PER_STRIP)):
        make = anchored_strip if fused else plain_strip
        world, x = make(config or painter.config, painter.scale, i, seed=seed, width_px=STRIP_VIEWS * side)
        strip = channels_first(painter.draw(world, Region(x, -(side // 2), STRIP_VIEWS * side, side)))
        for left in random_lefts(world, CROPS_PER_STRIP, (STRIP_VIEWS - 1) * side)[: n - i * CROPS_PER_STRIP]:
            yield shrink_view(strip[:, :, left : left + side], 1)


def shrink_view(picture: Tensor, scale: int) -> Tensor:
    """(3, H, H) uint8 -> (3, 128, 128) uint8: to 128 * scale px, then to 128, bilinear with aligned corners; rounded.

    The first step brings the view to the size at which photographs are compared, the second is that of Appendix S.
    """
    middle = F.interpolate(picture[None].float(), size=(scale * VIEW_PX,) * 2, mode="bilinear", align_corners=True)
    return shrink(middle[0], VIEW_PX)

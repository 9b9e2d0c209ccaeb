"""Generated pictures for evaluation, one world at a time: patches, larger pictures shrunk to patches, crops of strips."""

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.scales import Scale
from infgen.photo import resize_short_side as shrunk_photo
from infgen.pixels import Pixels
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.places import place, places, with_anchors
from infgen.world.world import World

CROPS_PER_STRIP = 4
STRIP_PATCHES = 16  # width of a strip in patches


def shrink(picture: Tensor, size: int) -> Tensor:
    """(3, H, W) -> (3, size, size) uint8: bilinear with aligned corners, the rule of Appendix S; rounded."""
    if picture.shape[-2:] == (size, size) and picture.dtype == torch.uint8:
        return picture
    small = F.interpolate(picture[None].float(), size=(size, size), mode="bilinear", align_corners=True)
    return small[0].round().clamp(0, 255).to(torch.uint8)


def patches(
    painter: Painter,
    *,
    n: int,
    seed: int,
    scale: int = 1,
    styles: int | None = None,
    config: GeneratorConfig | None = None,
) -> Iterator[Tensor]:
    """``n`` samples (3, patch, patch) uint8 of regions ``scale`` times larger than a patch, each of a world of its own.

    ``styles``: so many in each world. ``config``: of the generator that says where patches lie; None: of the painter's.
    """
    size = painter.scale.patch_px
    for found in places(config or painter.config, painter.scale, n=n, seed=seed, times=scale, styles=styles):
        yield shrink(channels_first(painter.draw(found.world, found.region)), size)


def strip_crops(
    painter: Painter, *, n: int, seed: int, config: GeneratorConfig | None = None, fused: bool = False
) -> Iterator[Tensor]:
    """``n`` patches (3, patch, patch) uint8 cut at random places from wide strips, four from each strip.

    A strip is one world, 16 patches wide and one patch high, at the rows of a patch; the left edge of a crop is any pixel
    of it that leaves room. It has one style, or with ``fused`` a row of styles, see ``anchored_strip``. ``config`` as in
    ``patches``.
    """
    side, sizes = painter.scale.patch_px, config or painter.config
    for i in range(-(-n // CROPS_PER_STRIP)):
        found = place(sizes, painter.scale, i, seed=seed, purpose="strip")
        world, width = found.world, STRIP_PATCHES * side
        if fused:
            world = anchored_strip(sizes, painter.scale, i, seed=seed, width_px=width)[0]
        strip = channels_first(painter.draw(world, replace(found.region, w=width)))
        for left in random_lefts(world, CROPS_PER_STRIP, width - side)[: n - i * CROPS_PER_STRIP]:
            yield strip[:, :, left : left + side]


def plain_strip(config: GeneratorConfig, scale: Scale, index: int, *, seed: int, width_px: int) -> tuple[World, int]:
    """Return the world of strip ``index`` with one style, and the strip's first column in px of ``scale``."""
    found = place(config, scale, index, seed=seed, purpose="strip")
    return found.world, found.region.x


def anchored_strip(config: GeneratorConfig, scale: Scale, index: int, *, seed: int, width_px: int) -> tuple[World, int]:
    """Return the same world with a row of random styles along the strip, and the strip's first column.

    As in the released code (Appendix A.1): the anchor of a style is as wide as a training window, 11 cells, and the gap
    between two anchors is 2 cells more than their overlap, so that style centres are 13 cells apart.
    """
    world, x = plain_strip(config, scale, index, seed=seed, width_px=width_px)
    return with_anchors(world, scale, x=x, width_px=width_px), x


def random_lefts(world: World, count: int, high: int) -> list[int]:
    """``count`` numbers from 0 to ``high`` that depend only on the world's seed."""
    rng = torch.Generator().manual_seed(world.seed >> 1)
    lefts: list[int] = torch.randint(0, high + 1, (count,), generator=rng).tolist()
    return lefts


def wide_crops(painter: Painter, whole: Scale, *, n: int, seed: int, views: int) -> Iterator[Tensor]:
    """``n`` crops (3, patch, patch) uint8 of windows one view high and ``views`` wide, ``views`` from each window.

    Windows are drawn at the painter's scale and shrunk, as photographs are, to the view of the scale ``whole``, whose
    patches the crops are, at random rows and columns.
    """
    own, side = painter.scale, whole.patch_px
    for i in range(-(-n // views)):
        found = place(painter.config, own, i, seed=seed, purpose=f"{views} views")
        region = Region(found.region.x, own.view_top, views * own.view_px, own.view_px)
        picture = Image.fromarray(painter.draw(found.world, region))
        small = torch.frombuffer(bytearray(shrunk_photo(picture, whole.view_px).tobytes()), dtype=torch.uint8)
        small = small.view(whole.view_px, -1, 3).permute(2, 0, 1)
        rng = torch.Generator().manual_seed(found.world.seed >> 1)
        for _ in range(min(views, n - i * views)):
            top, left = (int(torch.randint(0, size - side + 1, (), generator=rng)) for size in small.shape[1:])
            yield small[:, top : top + side, left : left + side]


def channels_first(pixels: Pixels) -> Tensor:
    """(H, W, 3) -> (3, H, W)."""
    return torch.tensor(pixels).permute(2, 0, 1)

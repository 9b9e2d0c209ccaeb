"""Pictures of a generator for evaluation: a world for each sample, drawn through the render loop like any other picture.

Sample ``i`` is a function of seed and ``i`` alone: of no batch, no order and no other sample.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.engines import EagerEngine, Engine
from infgen.engines.eager import Precision
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.rendering.plan import Region, make_plan
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import Pixels, Scene, render_array
from infgen.train.evaluation.whole import draw_whole
from infgen.train.sampling import FIRST_ROW, vertical_starts
from infgen.world import geometry
from infgen.world.coordinates import HORIZONTAL_PERIOD
from infgen.world.styles import world_palette
from infgen.world.world import World

CROPS_PER_STRIP = 4
STRIP_PATCHES = 16  # width of a strip in patches


@dataclass(frozen=True)
class Sample:
    """Which world a sample shows, and where: cell_x, cell_y is the first cell of its z_S window."""

    world: World
    cell_x: int
    cell_y: int


@dataclass(frozen=True)
class Painter:
    """A generator, ready to draw any region of any world. ``engine`` None: an ablation with zero padding, see ``draw``."""

    generator: Generator
    engine: Engine | None

    @classmethod
    def of(cls, generator: Generator, *, precision: Precision = "fp32") -> "Painter":
        """``generator`` in the reference engine, on the device where its weights are; with zero padding always in fp32."""
        return cls(generator, None if generator.config.padding else EagerEngine(generator, precision=precision))

    @property
    def config(self) -> GeneratorConfig:
        """Sizes of the generator."""
        return self.generator.config

    @property
    def device(self) -> torch.device:
        """Where the generator's weights are."""
        return self.generator.mean_style.device

    @property
    def patch_px(self) -> int:
        """Side of a training patch."""
        return self.config.patch_px

    def draw(self, world: World, region: Region, *, tile_px: int | None = None) -> Pixels:
        """Pixels of ``region``, (h, w, 3) uint8, through the render loop.

        A generator with zero padding has no windows that fit together: its picture is drawn in one piece that ends where
        the region ends. Raises InputError for an impossible region or tile, LimitError where one piece is too large.
        """
        if self.engine is None:
            return draw_whole(self.generator, world, region)
        memory, width = tile_memory(self.device), self.engine.bytes_per_value
        plan = make_plan(region, self.config, memory=memory, bytes_per_value=width, tile_px=tile_px)
        return render_array(Scene(world, world_palette(world, self.generator), self.engine), plan)


def sample(seed: int, index: int, *, purpose: str = "patch") -> Sample:
    """Sample ``index``: its own world and style, any column, one of the V rows at which training patches begin.

    ``purpose`` keeps the samples of different measurements apart.
    """
    text = f"infgen evaluation:{purpose}:{seed}:{index}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    rng = torch.Generator().manual_seed(number >> 1)
    row = int(vertical_starts(1, 0.0, rng))
    column = int(torch.randint(0, HORIZONTAL_PERIOD, (), generator=rng))
    return Sample(World(seed=number), column, FIRST_ROW + geometry.STRUCTURE_HALO + row)


def patch_region(place: Sample, *, levels: int, patch_px: int) -> Region:
    """The training patch of a sample, px."""
    x, y = (geometry.first_px(cell, levels=levels) for cell in (place.cell_x, place.cell_y))
    return Region(x, y, patch_px, patch_px)


def scaled(region: Region, scale: int) -> Region:
    """``region`` made ``scale`` times larger about the point of the horizon (y = 0) below or above its centre.

    Row r of the patch becomes rows scale*r and on, so the larger picture, brought to the size of a patch, shows sky and
    ground in the same shares. Scale 1 is the region itself.
    """
    x = region.x - (scale - 1) * region.w // 2
    return replace(region, x=x, y=scale * region.y, w=scale * region.w, h=scale * region.h)


def shrink(picture: Tensor, size: int) -> Tensor:
    """(3, H, W) uint8 -> (3, size, size) uint8: bilinear with aligned corners, the rule of Appendix S; rounded."""
    if picture.shape[-2:] == (size, size):
        return picture
    small = F.interpolate(picture[None].float(), size=(size, size), mode="bilinear", align_corners=True)
    return small[0].round().clamp(0, 255).to(torch.uint8)


def patches(painter: Painter, *, n: int, seed: int, scale: int = 1) -> Iterator[Tensor]:
    """``n`` samples (3, patch, patch) uint8 of a world ``scale`` times larger than a patch, one world at a time."""
    for i in range(n):
        place = sample(seed, i)
        region = patch_region(place, levels=painter.config.levels, patch_px=painter.patch_px)
        yield shrink(_channels_first(painter.draw(place.world, scaled(region, scale))), painter.patch_px)


def strip_crops(painter: Painter, *, n: int, seed: int) -> Iterator[Tensor]:
    """``n`` patches (3, patch, patch) uint8 cut at random places from wide strips, four from each strip.

    A strip is one world and one style, 16 patches wide and one patch high, at one of the training rows; the left edge of a
    crop is any pixel of it that leaves room.
    """
    side = painter.patch_px
    for i in range(-(-n // CROPS_PER_STRIP)):
        place = sample(seed, i, purpose="strip")
        region = patch_region(place, levels=painter.config.levels, patch_px=side)
        strip = _channels_first(painter.draw(place.world, replace(region, w=STRIP_PATCHES * side)))
        rng = torch.Generator().manual_seed(place.world.seed >> 1)
        lefts = torch.randint(0, (STRIP_PATCHES - 1) * side + 1, (CROPS_PER_STRIP,), generator=rng).tolist()
        for left in lefts[: n - i * CROPS_PER_STRIP]:
            yield strip[:, :, left : left + side]


def pixels_to_draw(patch_px: int, *, n: int, scales: tuple[int, ...], strips: bool) -> int:
    """Pixels that ``patches`` at ``scales`` and, where asked for, ``strip_crops`` draw."""
    squares = sum(scale**2 for scale in scales) * n * patch_px**2
    return squares + (-(-n // CROPS_PER_STRIP) * STRIP_PATCHES * patch_px**2 if strips else 0)


def _channels_first(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)

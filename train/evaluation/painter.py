"""A generator that draws any region of any world at one scale, through the render loop like any other picture.

A model without that scale draws at its own and the picture is resized, so that its views have the size of the scale's views.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from infgen.engines import EagerEngine, Engine
from infgen.engines.eager import Precision
from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales, nearest_scale
from infgen.pixels import Pixels
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import make_plan
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import Scene, render_array
from infgen.train.evaluation.padded import draw_whole
from infgen.world.world import World

LANCZOS_REACH = 3  # radius of Pillow's Lanczos filter, in px of the coarser of the two pictures


@dataclass(frozen=True)
class Painter:
    """A generator, ready to draw any region of any world in px of ``scale``.

    ``generator`` draws the scale ``own`` of its model. ``engine`` None: an ablation with zero padding, see ``draw``.
    """

    generator: Generator
    engine: Engine | None
    own: Scale
    scale: Scale

    @classmethod
    def of(cls, generator: Generator, *, scale: Scale | None = None, precision: Precision = "fp32") -> "Painter":
        """``generator`` in the reference engine, on the device where its weights are; with zero padding always in fp32.

        ``scale``: of any model; None: the finest of this one.
        """
        scales = judged_scales(generator.config)
        own = scales[-1] if scale is None else nearest_scale(scales, scale.view_px)
        first = generator.coarser(own.halvings)
        engine = None if generator.config.padding else EagerEngine(first, precision=precision)
        return cls(first, engine, own, scale or own)

    @property
    def config(self) -> GeneratorConfig:
        """Sizes of the generator that draws."""
        return self.generator.config

    @property
    def device(self) -> torch.device:
        """Where the generator's weights are."""
        return self.generator.mean_style.device

    @property
    def patch_px(self) -> int:
        """Side of the window of 11 cells, the paper's training patch."""
        return self.config.patch_px

    @property
    def enlarged(self) -> float:
        """By how much pictures are enlarged after drawing; below 1 they are shrunk."""
        return self.scale.view_px / self.own.view_px

    def draw(self, world: World, region: Region, *, tile_px: int | None = None) -> Pixels:
        """Pixels of ``region`` (px of ``scale``), (h, w, 3) uint8. ``tile_px``: side of every tile that is drawn.

        A generator with zero padding has no windows that fit together: its picture is drawn in one piece that ends where
        the region ends. Raises InputError for an impossible region or tile, LimitError where one piece is too large.
        """
        if self.own.view_px == self.scale.view_px:
            return self._draw(world, region, tile_px=tile_px)
        x, y, step = *self._own_px(region.x, region.y), 1 / self.enlarged
        margin = math.ceil(LANCZOS_REACH * max(1.0, step)) + 1
        left, top = math.floor(x) - margin, math.floor(y) - margin
        right, bottom = math.ceil(x + region.w * step) + margin, math.ceil(y + region.h * step) + margin
        drawn = Image.fromarray(self._draw(world, Region(left, top, right - left, bottom - top), tile_px=tile_px))
        box = (x - left, y - top, x - left + region.w * step, y - top + region.h * step)
        return np.asarray(drawn.resize((region.w, region.h), Image.Resampling.LANCZOS, box=box))

    def _own_px(self, x: int, y: int) -> tuple[float, float]:
        """The edges of pixel (x, y) of ``scale`` in px of ``own``: the upper edges of the two views are one."""
        return x / self.enlarged, (y - self.scale.view_top) / self.enlarged + self.own.view_top

    def _draw(self, world: World, region: Region, *, tile_px: int | None) -> Pixels:
        if self.engine is None:
            return draw_whole(self.generator, world, region)
        memory, width = tile_memory(self.device), self.engine.bytes_per_value
        plan = make_plan(region, self.config, memory=memory, bytes_per_value=width, tile_px=tile_px)
        return render_array(Scene(world, world_palette(world, self.generator), self.engine), plan)

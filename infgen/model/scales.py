"""Define the scales at which a model is trained and evaluated: view, window and patch of each.

A scale is a level with a trained RGB output. Its view is the photograph's view, downsampled to the level. A patch is the part
of the view that discriminators and feature networks use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from infgen import geometry
from infgen.errors import InputError
from infgen.model.config import PATCH_CELLS, GeneratorConfig, scale_name

PATCH_PX = 101  # side of a patch if the view is large enough: 11 cells of 16 px
VIEW_CELLS = 17  # default view of a model file without view_px: 197 px at 16 px per cell
FEWEST_CELLS = 5  # of z_S that give pixels


@dataclass(frozen=True)
class Scale:
    """One scale of a model. All px are pixels of this scale: one covers 2**halvings px of the model's last level."""

    level: int  # upsampling levels of the network that draws it
    halvings: int  # argument of ``GeneratorConfig.coarser`` and ``Generator.coarser``
    view_px: int  # height of a photograph's view
    cells: int  # cells of z_S of a training window
    patch_px: int  # side of a patch, at most the window

    @property
    def name(self) -> str:
        """Name of the scale: "1", "1/2", "1/4" ..."""
        return scale_name(self.halvings)

    @property
    def label(self) -> str:
        """Scale, patch and view, such as "1/8: 93 px of 98"."""
        return f"{self.name}: {self.patch_px} px of {self.view_px}"

    @property
    def window_px(self) -> int:
        """Side of a training window, from which the patch is cut."""
        return geometry.tile_px(self.cells, levels=self.level)

    @property
    def view_top(self) -> int:
        """First row of the view. Row 0 is the horizon, in the middle of the view."""
        return -(self.view_px // 2)

    @property
    def room_px(self) -> int:
        """Range of a patch in the view: its first row is ``view_top`` to ``view_top + room_px``."""
        return self.view_px - self.patch_px


def judged_scales(config: GeneratorConfig) -> tuple[Scale, ...]:
    """Return the scales of a model, coarsest first. A model without ``scales`` has its last level, with the paper's patch.

    Raises InputError if the view of a scale is too small for any window.
    """
    view_px = config.view_px or geometry.tile_px(VIEW_CELLS, levels=config.levels)
    if not config.scales:
        return (Scale(config.levels, 0, view_px, PATCH_CELLS, config.patch_px),)
    return tuple(_scale(level, config.levels - level, view_px) for level in config.scales)


def nearest_scale(scales: Sequence[Scale], view_px: int) -> Scale:
    """Return the scale whose view is nearest to ``view_px`` in size; of two equally near ones, the larger."""
    return min(scales, key=lambda s: (abs(math.log(s.view_px / view_px)), -s.view_px))


def _scale(level: int, halvings: int, model_view_px: int) -> Scale:
    """The scale of ``level`` in a model whose last level, ``halvings`` finer, has views of ``model_view_px``."""
    view_px = model_view_px >> halvings
    cells = geometry.cells_covering(PATCH_PX, levels=level)
    if geometry.tile_px(cells, levels=level) > view_px:
        cells = geometry.cells_covering(view_px + 1, levels=level) - 1  # the most whose window fits
    if cells < FEWEST_CELLS:
        smallest = geometry.tile_px(FEWEST_CELLS, levels=level) << halvings
        raise InputError(
            f"view_px {model_view_px} leaves scale {scale_name(halvings)} a view of {view_px} px, too small for any window; "
            f"give {smallest} or more"
        )
    return Scale(level, halvings, view_px, cells, min(PATCH_PX, geometry.tile_px(cells, levels=level)))

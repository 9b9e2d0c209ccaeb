"""Render worlds from Python: ``World.render``, ``World.view`` and ``World.to_dask``.

Imports rendering only when called, because rendering imports worlds.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

if TYPE_CHECKING:
    from infgen.pixels import Pixels
    from infgen.rendering.precision import PrecisionChoice
    from infgen.rendering.view import View
    from infgen.world.world import World


class EngineOptions(TypedDict, total=False):
    """How to compute pixels: options of ``infgen.rendering.studio.Options``, which explains them."""

    tile_px: int | None
    batch: int
    precision: "PrecisionChoice | None"
    threads: int | None
    device: str | None
    engine: str
    provider: str | None


class RenderOptions(EngineOptions, total=False):
    """The options of ``World.render``, ``World.view`` and ``World.to_dask``."""

    model: str | Path | None
    scale: str
    engine_file: str | Path | None


class RenderingFacade:
    """The methods of ``World`` that render."""

    def render(self, x: int, y: int, w: int, h: int, **options: Unpack[RenderOptions]) -> "Pixels":
        """Render the window of ``w`` x ``h`` px at (``x``, ``y``), (h, w, 3) uint8. Options and errors as in ``view``.

        >>> from infgen import World
        >>> World(seed=7, truncation=0.8).render(0, -32, 96, 64).shape
        (64, 96, 3)
        """
        return self.view(x, y, w, h, **options)[...]

    def view(
        self,
        x: int,
        y: int,
        w: int,
        h: int,
        *,
        model: str | Path | None = None,
        scale: str = "1",
        engine_file: str | Path | None = None,
        **options: Unpack[EngineOptions],
    ) -> "View":
        """Open the window of ``w`` x ``h`` px at (``x``, ``y``) as a lazy array: ``view[y0:y1, x0:x1]`` renders these pixels.

        ``model``: a file or hub id; None is the shipped model. ``scale``: "1", "1/2", "1/4" ..., the size of the result relative
        to the window, rendered by a coarser level of the model. ``engine_file``: made by ``infgen export``. The other options
        are ``tile_px``, ``batch``, ``precision``, ``threads``, ``device``, ``engine`` and ``provider``, as in ``infgen render``.
        Raises InputError for an illegal window, model, scale or option, TypeError for an option with another name.

        >>> from infgen import World
        >>> view = World(seed=7).view(0, 0, 10**6, 10**6)
        >>> view[500_000:500_020, :30].shape
        (20, 30, 3)
        """
        from infgen.geometry import Region
        from infgen.model.config import parse_scale
        from infgen.rendering.studio import Options
        from infgen.rendering.view import View, studio_of

        file = None if engine_file is None else str(engine_file)
        chosen = Options(**options, engine_file=file, halvings=parse_scale(scale))
        studio = studio_of(cast("World", self), model=model, options=chosen)
        return View(studio, Region(x, y, w, h).coarser(chosen.halvings))

    def to_dask(self, x: int, y: int, w: int, h: int, **options: Unpack[RenderOptions]) -> Any:
        """Open the window as a lazy ``dask.array`` (h, w, 3) uint8. Options and errors as in ``view``.

        Raises MissingExtraError if dask is not installed.

        >>> from infgen import World
        >>> array = World(seed=7).to_dask(0, 0, 10**6, 10**6)
        >>> array[:20, :30].compute().shape
        (20, 30, 3)
        """
        return self.view(x, y, w, h, **options).to_dask()

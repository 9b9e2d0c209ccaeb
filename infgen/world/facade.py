"""Render worlds from Python: ``World.render``, ``World.view`` and ``World.to_dask``.

Imports rendering only when called, because rendering imports worlds.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from infgen.engines.tile_file import Precision
    from infgen.pixels import Pixels
    from infgen.rendering.view import View
    from infgen.world.world import World


class RenderingFacade:
    """The methods of ``World`` that render."""

    def render(
        self,
        x: int,
        y: int,
        w: int,
        h: int,
        *,
        model: str | Path | None = None,
        scale: str = "1",
        tile_px: int | None = None,
        batch: int = 1,
        precision: "Precision | None" = None,
        threads: int | None = None,
        device: str | None = None,
        engine: str = "auto",
        engine_file: str | Path | None = None,
        provider: str | None = None,
    ) -> "Pixels":
        """Render the window of ``w`` x ``h`` px at (``x``, ``y``), (h, w, 3) uint8. Parameters and errors as in ``view``.

        >>> from infgen import World
        >>> World(seed=7, truncation=0.8).render(0, -32, 96, 64).shape
        (64, 96, 3)
        """
        view = self.view(
            x,
            y,
            w,
            h,
            model=model,
            scale=scale,
            tile_px=tile_px,
            batch=batch,
            precision=precision,
            threads=threads,
            device=device,
            engine=engine,
            engine_file=engine_file,
            provider=provider,
        )
        return view[...]

    def view(
        self,
        x: int,
        y: int,
        w: int,
        h: int,
        *,
        model: str | Path | None = None,
        scale: str = "1",
        tile_px: int | None = None,
        batch: int = 1,
        precision: "Precision | None" = None,
        threads: int | None = None,
        device: str | None = None,
        engine: str = "auto",
        engine_file: str | Path | None = None,
        provider: str | None = None,
    ) -> "View":
        """Open the window of ``w`` x ``h`` px at (``x``, ``y``) as a lazy array: ``view[y0:y1, x0:x1]`` renders these pixels.

        ``model``: a file or hub id; None is the shipped model. ``scale``: "1", "1/2", "1/4" ..., the size of the result relative
        to the window, rendered by a coarser level of the model. The other options are those of
        ``infgen.rendering.studio.Options``. Raises InputError for an illegal window, model, scale or option.

        >>> from infgen import World
        >>> view = World(seed=7).view(0, 0, 10**6, 10**6)
        >>> view[500_000:500_020, :30].shape
        (20, 30, 3)
        """
        from infgen.geometry import Region
        from infgen.model.config import parse_scale
        from infgen.rendering.studio import Options
        from infgen.rendering.view import View, studio_of

        options = Options(
            tile_px=tile_px,
            batch=batch,
            precision=precision,
            threads=threads,
            device=device,
            engine=engine,
            engine_file=None if engine_file is None else str(engine_file),
            provider=provider,
            halvings=parse_scale(scale),
        )
        studio = studio_of(cast("World", self), model=model, options=options)
        return View(studio, Region(x, y, w, h).coarser(options.halvings))

    def to_dask(
        self,
        x: int,
        y: int,
        w: int,
        h: int,
        *,
        model: str | Path | None = None,
        scale: str = "1",
        tile_px: int | None = None,
        batch: int = 1,
        precision: "Precision | None" = None,
        threads: int | None = None,
        device: str | None = None,
        engine: str = "auto",
        engine_file: str | Path | None = None,
        provider: str | None = None,
    ) -> Any:
        """Open the window as a lazy ``dask.array`` (h, w, 3) uint8. Parameters and errors as in ``view``.

        Raises MissingExtraError if dask is not installed.

        >>> from infgen import World
        >>> array = World(seed=7).to_dask(0, 0, 10**6, 10**6)
        >>> array[:20, :30].compute().shape
        (20, 30, 3)
        """
        view = self.view(
            x,
            y,
            w,
            h,
            model=model,
            scale=scale,
            tile_px=tile_px,
            batch=batch,
            precision=precision,
            threads=threads,
            device=device,
            engine=engine,
            engine_file=engine_file,
            provider=provider,
        )
        return view.to_dask()

"""Whole planets: an equirectangular picture, twice as wide as tall, whose left and right edges meet.

The world repeats along x after the width of the picture. On a sphere the rows near the poles shrink, so what the picture
shows there would be pinched. Beyond ``FADE_DEGREES`` each row is averaged along the longitude over a growing number of
pixels, until the outermost rows have one colour. Nothing else is projected: continents in high latitudes look narrower on
the sphere than in the picture.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.progress import Phase, silent_phase
from infgen.rendering.job import Output
from infgen.rendering.studio import Studio
from infgen.sinks import Grid, check_picture, open_sink
from infgen.world.world import World

PROJECTION = "equirectangular"  # entry of the provenance
STRIP_PX = 1024  # rows that are rendered together
FADE_DEGREES = 60.0  # latitude, north and south, beyond which rows are averaged
FADE_PX = 256  # a row at latitude p is averaged over FADE_PX * (cos(FADE_DEGREES) / cos(p) - 1) px


@dataclass(frozen=True)
class PlanetJob:
    """One planet after all checks: ``grid`` has strips of whole rows."""

    studio: Studio
    grid: Grid
    output: Output

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance of the world's window, with the projection."""
        plan = self.studio.plan(_region(self.grid))
        return {**self.studio.provenance(plan), "projection": PROJECTION}

    def run(self, *, phase: Phase = silent_phase) -> None:
        """Render and write the file. Finished strips are kept for ``start="resume"``."""
        output, total = self.output, self.grid.width * self.grid.height
        with open_sink(
            output.path, self.grid, self.provenance, start=output.start, file_format=output.file_format
        ) as sink:
            with phase("rendering") as progress:
                for number in range(self.grid.count):
                    box = self.grid.box(number)
                    if number not in sink.done:
                        sink.write_tile(number, self._strip(box.y, box.h))
                    progress((box.y + box.h) * box.w, total)
            with phase("writing") as progress:
                sink.finish(progress=progress)

    def _strip(self, top: int, rows: int) -> Pixels:
        """Return ``rows`` rows of the picture from row ``top`` on, (rows, w, 3) uint8."""
        whole = _region(self.grid)
        pixels = self.studio.array(Region(whole.x, whole.y + top, whole.w, rows))
        return fade_rows(pixels, latitudes(whole.h)[top : top + rows])


def planet_world(world: World, width: int) -> World:
    """Return ``world`` with the period of a planet ``width`` px wide."""
    return world.replace(period=width)


def prepare_planet(studio: Studio, width: int, output: Output) -> PlanetJob:
    """Check the picture of ``width`` x ``width`` // 2 px. ``studio``: of a world by ``planet_world``.

    Raises InputError, before any rendering, for a model with a horizon and for an output that cannot be written.
    """
    if studio.generator.config.has_horizon:
        raise InputError(
            f"model {studio.model_path.name} has a horizon, so it draws no planet; give a model of a land from above, "
            "such as --model planet or atlas"
        )
    grid = Grid(width, width // 2, width, STRIP_PX)
    check_picture(output.path, grid, start=output.start, file_format=output.file_format)
    return PlanetJob(studio, grid, output)


def _region(grid: Grid) -> Region:
    """Return the window of the world: the equator is y = 0."""
    return Region(0, -(grid.height // 2), grid.width, grid.height)


def latitudes(height: int) -> npt.NDArray[np.float64]:
    """Return the latitude of the middle of each row in degrees, from north (90) to south (-90): (height,)."""
    return 90 - 180 * (np.arange(height) + 0.5) / height


def fade_rows(pixels: Pixels, degrees: npt.NDArray[np.float64]) -> Pixels:
    """Average the rows (h, w, 3) at latitudes ``degrees`` (h,) along x, around the planet. Rows near the equator stay."""
    faded = pixels.copy()
    for row, size in _list_averaged(degrees, pixels.shape[1]):
        faded[row] = _average(pixels[row], size)
    return faded


def _list_averaged(degrees: npt.NDArray[np.float64], width: int) -> Iterator[tuple[int, int]]:
    """Yield (row, odd number of pixels to average) of each row that changes."""
    edge = math.cos(math.radians(FADE_DEGREES))
    for row, latitude in enumerate(degrees):
        size = FADE_PX * (edge / math.cos(math.radians(latitude)) - 1)
        if size >= 1:
            yield row, min(round(size), width) | 1


def _average(row: Pixels, size: int) -> Pixels:
    """Average (w, 3) over ``size`` pixels around each, twice, so that the weights form a triangle."""
    width, reach = len(row), size // 2
    values = row.astype(np.float64)
    for _ in range(2):
        around = values[np.arange(-reach - 1, width + reach) % width]
        sums = np.cumsum(around, axis=0)
        values = (sums[size:] - sums[:-size]) / size
    return np.rint(values).astype(np.uint8)

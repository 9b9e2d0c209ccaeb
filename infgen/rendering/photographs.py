"""Draw the photographs of a world over the model's pixels: photograph, feather, matched colours, world.

All values depend on the position only, so tiles fit together. A photograph is drawn at the size that it has at the scale of
the picture. Around it, colours change smoothly to meet those at its edges.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infgen.errors import WorldError
from infgen.geometry import Region, Span, Window, cell_px
from infgen.photo import Known, Photograph, open_photograph, resize
from infgen.pixels import Pixels
from infgen.rendering.compositing import REACHES_PX, Values, Weights, mirror_cover, ramp, spread
from infgen.world.anchoring import Anchor, check_hash
from infgen.world.overlaps import span_overlaps, window_overlaps
from infgen.world.world import World

FEATHER_PX = 5  # at the scale of the inversion
_THINNED = 2  # halvings of the inversion's scale at which changes of colour are computed
_KEPT_PHOTOGRAPHS = 16  # resized ones

Draw = Callable[[int, Region], Pixels]  # (halvings of the world, region at that scale) -> the model's pixels


@dataclass(frozen=True, eq=False)
class Cover:
    """A photograph with its feather, px of one scale. ``weights`` (h, w): 1 inside, falling to 0."""

    colours: Pixels
    weights: Weights
    window: Window


@dataclass(frozen=True, eq=False)
class Change:
    """Change of the model's colours around a photograph: ``values`` (h, w, 3) on a lattice of 2**``doublings`` px."""

    values: Values
    window: Window  # of the lattice
    doublings: int

    @property
    def reach(self) -> Window:
        """Window of px that change."""
        x, y = (
            Span(span.start << self.doublings, ((span.size - 1) << self.doublings) + 1)
            for span in (self.window.x, self.window.y)
        )
        return Window(x, y)

    def at(self, window: Window) -> Values:
        """Interpolate the change at the px of ``window``, which lies in ``reach``: (h, w, 3)."""
        rows, down = self._places(window.y, self.window.y)
        columns, across = self._places(window.x, self.window.x)
        part = self.values[rows.min() : rows.max() + 2]
        rows = rows - rows.min()
        lines = part[rows] * (1 - down)[:, None, None] + part[rows + 1] * down[:, None, None]
        result = lines[:, columns] * (1 - across)[:, None] + lines[:, columns + 1] * across[:, None]
        return np.asarray(result, np.float32)

    def _places(self, span: Span, lattice: Span) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.float32]]:
        """Return the lattice position before each px, from 0, and its share of the way to the next one."""
        places = np.arange(span.start, span.stop) * 2.0**-self.doublings - lattice.start
        before = np.floor(places).astype(int).clip(0, lattice.size - 2)
        return before, (places - before).clip(0, 1).astype(np.float32)


@dataclass(frozen=True)
class PlacedPhotograph:
    """A photograph in a world. ``x``, ``y``, ``w``, ``h``: px of the inversion's scale, 1 / 2**``halvings`` of the world."""

    path: Path
    sha256: str
    x: int
    y: int
    w: int
    h: int
    halvings: int

    @classmethod
    def of(cls, anchor: Anchor, *, folder: Path, cell_x: int, levels: int, halvings: int) -> "PlacedPhotograph | None":
        """Place the photograph of ``anchor``; None if it has none. ``cell_x``: of the inversion; ``levels``: inverted ones."""
        found = anchor.photograph
        if found is None:
            return None
        x = found.x + (anchor.cell_x - cell_x) * cell_px(levels)
        return cls(folder / found.file, found.sha256, x, found.y, found.w, found.h, halvings)

    def window(self, halvings: int) -> Window:
        """Window of the photograph in px at scale 1 / 2**``halvings`` of the world."""
        doublings = self.halvings - halvings
        x, y = (_resize_span(start, size, doublings) for start, size in ((self.x, self.w), (self.y, self.h)))
        return Window(x, y)

    def reach(self, halvings: int) -> Window:
        """Window of the px whose colours it changes, at scale 1 / 2**``halvings``; somewhat too large."""
        own = self.window(halvings)
        reach = round((max(REACHES_PX) + 2 * (2 << _THINNED)) * 2.0 ** (self.halvings - halvings)) + (2 << _THINNED)
        return Window(*(Span(s.start - reach, s.size + 2 * reach) for s in (own.x, own.y)))

    def cover(self, halvings: int) -> Cover:
        """Return the photograph with its feather at scale 1 / 2**``halvings`` of the world."""
        window = self.window(halvings)
        pixels, known = _read(self.path, self.sha256, window.shape[::-1])
        margin = max(1, round(FEATHER_PX * 2.0 ** (self.halvings - halvings)))
        around = Window(*(Span(s.start - margin, s.size + 2 * margin) for s in (window.x, window.y)))
        if known.all():
            return Cover(*mirror_cover(pixels, margin), around)
        colours = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "edge")
        return Cover(colours, ramp(np.pad(known, margin), margin), around)

    def change(self, halvings: int, draw: Draw, *, period: int | None, before: Sequence[Change]) -> Change:
        """Measure how colours must change around the photograph, for pictures at scale 1 / 2**``halvings``.

        ``period``: of the world, px. ``before``: changes by photographs that come first, for the same scale.
        """
        scale = max(self.halvings, halvings)
        window = self.window(scale)
        pixels, known = _read(self.path, self.sha256, window.shape[::-1])
        model = draw(scale, Region(window.x.start, window.y.start, window.x.size, window.y.size)).astype(np.float32)
        for earlier in before:
            moved = replace(earlier, doublings=earlier.doublings - (scale - halvings))
            model = _add(model, moved, window, period=None if period is None else period >> scale)
        difference, mask = _thin(np.where(known[:, :, None], pixels - model, 0).astype(np.float32), known)
        reaches = [max(1, reach >> (scale - self.halvings + _THINNED)) for reach in REACHES_PX]
        if period is not None:  # colours at the ends must meet
            most = max(1, ((period >> (scale + _THINNED)) - mask.shape[1]) // 2 - 1)
            reaches = [min(reach, most) for reach in reaches]
        margin = max(reaches) + 1
        values = spread(np.pad(difference, ((margin, margin), (margin, margin), (0, 0))), np.pad(mask, margin), reaches)
        step = 1 << _THINNED
        lattice = Window(
            *(
                Span(round((s.start + (step - 1) / 2) / step) - margin, size + 2 * margin)
                for s, size in zip((window.x, window.y), mask.shape[::-1], strict=True)
            )
        )
        return Change(values, lattice, scale - halvings + _THINNED)


def _resize_span(start: int, size: int, doublings: int) -> Span:
    """Return the px that a run of px covers at a scale 2**``doublings`` times finer.

    The pixel of a coarse scale lies on the first of the finer pixels that it covers, not in their middle.
    """
    if doublings >= 0:
        return Span((start << doublings) - ((1 << doublings) - 1) // 2, size << doublings)
    step = 1 << -doublings
    return Span(round((start + (step - 1) / 2) / step), max(1, round(size / step)))


def _thin(difference: Values, known: Known) -> tuple[Values, Known]:
    """Average blocks of px over the known ones: a lattice of 2**_THINNED px."""
    step = 1 << _THINNED
    height, width = (-(-size // step) * step for size in known.shape)
    down, across = height - known.shape[0], width - known.shape[1]
    mask = np.pad(known, ((0, down), (0, across))).astype(np.float32)
    values = np.pad(difference, ((0, down), (0, across), (0, 0)))
    counts = mask.reshape(height // step, step, width // step, step).sum((1, 3))
    sums = values.reshape(height // step, step, width // step, step, 3).sum((1, 3))
    return (sums / np.maximum(counts, 1)[:, :, None]).astype(np.float32), counts > 0


class Photographs:
    """The photographs of a world for pictures at scale 1 / 2**``halvings``. Thread-safe. Read when they are first needed."""

    def __init__(self, placed: Sequence[PlacedPhotograph], *, halvings: int, period: int | None, draw: Draw) -> None:
        self._placed, self._halvings, self._world_period, self._draw = placed, halvings, period, draw
        self._lock = threading.Lock()
        self._layers: tuple[list[Change], list[Cover]] | None = None

    @property
    def _period(self) -> int | None:
        return None if self._world_period is None else self._world_period >> self._halvings

    def over(self, pixels: Pixels, *, x: int, y: int) -> Pixels:
        """Draw the photographs over the model's ``pixels`` (h, w, 3) uint8, whose first pixel lies at (``x``, ``y``).

        Raises WorldError if the file of a photograph near these pixels is missing, changed or damaged.
        """
        window = Window(Span(x, pixels.shape[1]), Span(y, pixels.shape[0]))
        if not any(self._near(placed, window) for placed in self._placed):
            return pixels
        with self._lock:
            if self._layers is None:
                self._layers = self._make_layers()
        changes, covers = self._layers
        values: Values | None = None
        for change in changes:
            values = _add(pixels.astype(np.float32) if values is None else values, change, window, period=self._period)
        result = pixels if values is None else values.round().clip(0, 255).astype(np.uint8)
        for cover in covers:
            result = _paste(result, cover, window, period=self._period)
        return result

    def _near(self, placed: PlacedPhotograph, window: Window) -> bool:
        around = placed.reach(self._halvings)
        if self._period is not None and around.x.size >= self._period:
            return next(span_overlaps(window.y, around.y), None) is not None
        return next(window_overlaps(window, around, period=self._period), None) is not None

    def _make_layers(self) -> tuple[list[Change], list[Cover]]:
        changes: list[Change] = []
        for placed in self._placed:
            changes.append(placed.change(self._halvings, self._draw, period=self._world_period, before=changes))
        return changes, [placed.cover(self._halvings) for placed in self._placed]


def _add(values: Values, change: Change, window: Window, *, period: int | None) -> Values:
    """Return ``values`` (h, w, 3) of ``window`` with the change of colours."""
    result = values
    for (rows, columns), part in window_overlaps(window, change.reach, period=period):
        result = result.copy() if result is values else result
        inside = Window(_part(change.reach.x, part[1]), _part(change.reach.y, part[0]))
        result[rows, columns] += change.at(inside)
    return result


def _paste(pixels: Pixels, cover: Cover, window: Window, *, period: int | None) -> Pixels:
    """Return ``pixels`` (h, w, 3) uint8 of ``window`` with the photograph over them."""
    result = pixels
    for (rows, columns), part in window_overlaps(window, cover.window, period=period):
        result = result.copy() if result is pixels else result
        weight = cover.weights[part][:, :, None]
        mixed = weight * cover.colours[part] + (1 - weight) * result[rows, columns]
        result[rows, columns] = mixed.round().clip(0, 255).astype(np.uint8)
    return result


def _part(span: Span, part: slice) -> Span:
    return Span(span.start + part.start, part.stop - part.start)


@lru_cache(maxsize=_KEPT_PHOTOGRAPHS)
def _read(path: Path, sha256: str, size: tuple[int, int]) -> tuple[Pixels, Known]:
    """Read a photograph in sRGB, resized to ``size`` (w, h). Raises WorldError if its hash is not ``sha256``."""
    check_hash(path, sha256)
    return resize(open_srgb(path), size)


def open_srgb(path: Path) -> Photograph:
    """Open a photograph and convert it to sRGB, the colours of worlds. Raises InputError like ``open_photograph``."""
    photograph = open_photograph(path)
    return photograph.in_profile_of(replace(photograph, profile=None))


def without_photographs(world: World) -> World:
    """Return ``world`` as the model draws it, without the photographs over its pixels."""
    bare = tuple(anchor.model_copy(update={"photograph": None}) for anchor in world.anchors)
    return world.model_copy(update={"anchors": bare}).in_folder(world.folder)


def reached_windows(world: World) -> tuple[Window, ...]:
    """Return the windows of px whose colours depend on a photograph of ``world``."""
    return tuple(placed.reach(0) for placed in _list_placed(world))


def place_photographs(world: World, *, halvings: int, draw: Draw) -> Photographs | None:
    """Return the photographs of ``world`` for pictures at scale 1 / 2**``halvings``; None if it has none.

    ``draw`` gives the model's pixels at other scales. Raises WorldError if latents of an anchor cannot be read.
    """
    found = _list_placed(world)
    return Photographs(found, halvings=halvings, period=world.period, draw=draw) if found else None


def _list_placed(world: World) -> list[PlacedPhotograph]:
    if not any(anchor.photograph for anchor in world.anchors):
        return []
    if world.folder is None:
        raise WorldError("world has photographs and no folder to read them from; read the world with World.load")
    found = []
    for anchor, placed in zip(world.anchors, world.placed_anchors, strict=True):
        latents = placed.latents
        photograph = PlacedPhotograph.of(
            anchor, folder=world.folder, cell_x=latents.cell_x, levels=latents.levels, halvings=latents.halvings
        )
        found += [] if photograph is None else [photograph]
    return found

"""Limit the styles of a world: their number, their centres, their painting and the transition width."""

from infgen.errors import LimitError
from infgen.limits import (
    MAX_CANVAS_CENTRES,
    MAX_CANVAS_POINTS,
    MAX_CANVAS_STROKES,
    MAX_CANVAS_STYLES,
    MAX_PAINTING_PIXELS,
    MAX_REQUEST_TRANSITION,
)


def check_counts(*, styles: int, centres: int, transition: int = 0, strokes: int = 0, points: int = 0) -> None:
    """Raise LimitError for too many ``styles``, ``centres``, ``strokes`` or ``points``, or too wide a ``transition`` (px)."""
    for found, limit, what in (
        (styles, MAX_CANVAS_STYLES, "styles"),
        (centres, MAX_CANVAS_CENTRES, "centres"),
        (transition, MAX_REQUEST_TRANSITION, "px of transition"),
        (strokes, MAX_CANVAS_STROKES, "brush strokes"),
        (points, MAX_CANVAS_POINTS, "points of brush strokes"),
    ):
        if found > limit.value():
            raise LimitError(
                f"{found} {what} are too many for a world on this server; allowed are {limit.value()}; remove some, or "
                f"raise {limit.name}"
            )


def check_painting(png: bytes) -> None:
    """Raise LimitError if the header of ``png`` names too many pixels. Ignores what is no PNG."""
    width, height = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
    limit = MAX_PAINTING_PIXELS
    if width * height > limit.value():
        raise LimitError(
            f"the painting has {width * height} px, over this server's limit of {limit.value()} px; scale it down, or "
            f"raise {limit.name}"
        )

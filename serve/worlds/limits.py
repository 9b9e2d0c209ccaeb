"""Limit the styles of a world: their number, their centres and the transition width."""

from infgen.errors import LimitError
from infgen.limits import MAX_CANVAS_CENTRES, MAX_CANVAS_STYLES, MAX_REQUEST_TRANSITION


def check_counts(*, styles: int, centres: int, transition: int) -> None:
    """Raise LimitError for too many ``styles`` or ``centres``, or too wide a ``transition`` (px)."""
    for found, limit, what in (
        (styles, MAX_CANVAS_STYLES, "styles"),
        (centres, MAX_CANVAS_CENTRES, "centres"),
        (transition, MAX_REQUEST_TRANSITION, "px of transition"),
    ):
        if found > limit.value():
            raise LimitError(
                f"{found} {what} are too many for a world on this server; allowed are {limit.value()}; remove some, or "
                f"raise {limit.name}"
            )

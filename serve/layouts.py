"""How many styles a world of this server may hold, and how wide they may fade into each other."""

from infgen.errors import LimitError
from infgen.limits import MAX_CANVAS_CENTRES, MAX_CANVAS_STYLES, MAX_REQUEST_TRANSITION


def check_counts(*, styles: int, centres: int, transition: int) -> None:
    """Raise LimitError for too many ``styles`` or style ``centres``, or too many px of ``transition``."""
    for found, limit, what in (
        (styles, MAX_CANVAS_STYLES, "styles"),
        (centres, MAX_CANVAS_CENTRES, "centres"),
        (transition, MAX_REQUEST_TRANSITION, "px of transition"),
    ):
        if found > limit.value():
            raise LimitError(
                f"{found} {what} are too many for a world of this server, allowed are {limit.value()}; take some away, or "
                f"raise {limit.name}"
            )

"""Check single values that a caller gives: whole numbers and their range."""

import operator

from infgen.errors import InputError


def check_whole(name: str, value: object, *, least: int | None = None, most: int | None = None) -> int:
    """Return ``value`` as an int. Raises InputError unless it is a whole number from ``least`` to ``most``.

    Integers of NumPy and PyTorch count; floats and text do not.
    """
    allowed = "whole numbers" + ("" if least is None else f" from {least}") + ("" if most is None else f" to {most}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} {value!r} is not possible; allowed are {allowed}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(f"{name} {number} is out of range; allowed are {allowed}")
    return number

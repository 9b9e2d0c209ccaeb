"""Parse lists of seeds such as "0-63" or "1,5,9-12"."""

import re

from infgen.errors import InputError, LimitError

_PART = re.compile(r"(-?[0-9]{1,20})(?:-(-?[0-9]{1,20}))?")


def parse_seeds(text: str, *, most: int) -> list[int]:
    """Parse seeds such as "0-63", "1,5,9-12" or "-5--2". Keeps the order and drops duplicates.

    Raises InputError for anything else, LimitError for more than ``most`` seeds.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InputError(
                f"seeds {part.strip()[:40]!r} is neither a seed nor a range; give for example 0-63 or 1,5,9-12"
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise InputError(f"seeds {part.strip()} runs backwards; give the smaller seed first")
        if last - first + 1 + len(found) > most:
            raise LimitError(f"seeds {text[:40]!r} has more than {most} seeds; give fewer and run the command again")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)

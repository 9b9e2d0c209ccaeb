"""Render like ``infgen render`` and time each part. ``infgen.bench.cold_start`` starts this module as a process.

    python -m infgen.bench.child '{"model": ..., "world": ..., "region": [x, y, w, h], ...}'

Prints one JSON object: the moment at which each part ended (seconds), and the peak memory (bytes). Moments are Unix times,
or processor times of this process if the order has ``processor``.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infgen.bench.memory import peak_resident_bytes
from infgen.errors import InfgenError
from infgen.process import import_for_good, use_large_pages
from infgen.progress import Progress


class FirstTile(Exception):
    """Ends a render that was requested up to its first tile."""


class Clock:
    """The times of ``read`` at which parts ended, in seconds. Keeps the first time of each name."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self.moments: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Record that ``name`` has ended now."""
        self.moments.setdefault(name, self._read())


def run(order: dict[str, Any]) -> dict[str, float]:
    """Run ``order``. Returns the time of each part and the peak memory."""
    clock = Clock(time.process_time if order["processor"] else time.time)
    import_for_good("infgen.cli.render")  # imports everything that the command line needs
    from infgen.geometry import Region
    from infgen.rendering.job import Output, prepare
    from infgen.rendering.studio import Options, open_studio
    from infgen.world.world import World

    clock.mark("imported")
    world = World.load(Path(order["world"]))
    studio = open_studio(world, model=order["model"], options=Options(**order["options"]))
    clock.mark("loaded")
    job = prepare(studio, Region(*order["region"]), Output(order["output"]))
    clock.mark("prepared")

    @contextmanager
    def phase(title: str) -> Iterator[Progress]:
        def advance(done: int, total: int) -> None:
            if done > 0:
                clock.mark("first_tile")
                if order["only_first_tile"]:
                    raise FirstTile

        yield advance

    with suppress(FirstTile):
        job.run(phase=phase)
    clock.mark("finished")
    return clock.moments | {"peak_bytes": peak_resident_bytes()}


def main(order: str) -> None:
    """Run ``order`` (JSON) and print the measurements. Prints one line and exits with code 1 if it fails."""
    use_large_pages()  # as the command line does, before the first allocation
    try:
        found = run(json.loads(order))
    except InfgenError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

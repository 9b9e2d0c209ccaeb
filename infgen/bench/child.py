"""What ``infgen render`` does, with the clock read on the way: the process that ``infgen.bench.fresh`` starts.

    python -m infgen.bench.child '{"model": ..., "world": ..., "region": [x, y, w, h], ...}'

Prints one JSON object: the time of the day (seconds) at which each part was done, and the peak memory (bytes).
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infgen.bench.memory import peak_resident_bytes
from infgen.bench.timing import Progress
from infgen.cli.main import COMMANDS, LARGE_PAGES
from infgen.errors import InfgenError
from infgen.rendering.job import Options, Output, open_studio, prepare
from infgen.rendering.plan import Region
from infgen.world.world import World


class FirstTile(Exception):
    """Ends a render whose first tile is all that was asked for."""


class Clock:
    """The moments at which parts were done; only the first one of each name is kept."""

    def __init__(self) -> None:
        self.moments: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note that ``name`` is done now."""
        self.moments.setdefault(name, time.time())


def run(order: dict[str, Any]) -> dict[str, float]:
    """Carry out ``order`` and give the moments and the peak memory."""
    clock = Clock()
    importlib.import_module(COMMANDS["render"][0])  # with everything that the command line imports
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
    """Run the order and print what was measured; one line and exit code 1 where it fails."""
    os.environ.setdefault(*LARGE_PAGES)  # as the command line does, before the first allocation
    try:
        found = run(json.loads(order))
    except InfgenError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

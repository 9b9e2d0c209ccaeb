"""Render in a new process, to measure the time to the first tile and the peak memory."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from infgen.errors import InfgenError
from infgen.geometry import Region
from infgen.rendering.studio import Options
from infgen.world.world import World


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Measurements of one process: its consecutive parts in seconds, and its peak memory in bytes."""

    imports: float  # start of Python, and all imports
    model: float  # reading the model and computing its styles
    preflight: float  # checks, and an estimate from two small tiles
    tile: float  # opening the output, and the first tile
    rest: float  # everything after the first tile
    peak_bytes: int

    @property
    def until_first_tile(self) -> float:
        """Seconds from the start of the process until its first tile is stored."""
        return self.imports + self.model + self.preflight + self.tile


def measure_cold_start(
    world: World,
    region: Region,
    *,
    model: Path,
    options: Options,
    only_first_tile: bool = False,
    processor: bool = False,
) -> ColdStart:
    """Render ``region`` of ``world`` to a temporary PNG in a new process, with the same steps as ``infgen render``.

    ``only_first_tile``: stop after the first tile. ``processor``: count the processor seconds of all threads, not those of
    the clock. Raises InfgenError with the reason if the process fails.
    """
    with TemporaryDirectory() as folder:
        world.save(Path(folder) / "world.json")
        order = {
            "model": str(model),
            "world": str(Path(folder) / "world.json"),
            "region": [region.x, region.y, region.w, region.h],
            "options": asdict(options),
            "output": str(Path(folder) / "picture.png"),
            "only_first_tile": only_first_tile,
            "processor": processor,
        }
        words = [sys.executable, "-m", "infgen.bench.child", json.dumps(order)]
        start = 0.0 if processor else time.time()
        process = subprocess.run(words, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        reason = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise InfgenError(f"the new process failed to render: {reason}")
    return _parts(start, json.loads(process.stdout.splitlines()[-1]))


def _parts(start: float, found: dict[str, float]) -> ColdStart:
    moments = [start, *(found[name] for name in ("imported", "loaded", "prepared", "first_tile", "finished"))]
    imports, model, preflight, tile, rest = (after - before for before, after in pairwise(moments))
    return ColdStart(
        imports=imports, model=model, preflight=preflight, tile=tile, rest=rest, peak_bytes=int(found["peak_bytes"])
    )

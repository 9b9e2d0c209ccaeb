"""Is the renderer faster than in another release? Tiles of both in turn, by one process each.

    python -m benchmarks.releases ../older-checkout                    # the shipped model, 1, 2 and 4 styles
    python -m benchmarks.releases ../older-checkout --tiles 261,709,1029 --rounds 9 --precision bf16

OTHER is a checkout of the other release. A Python with an import hook for infgen imports another one, and is refused: use a
virtual environment with the dependencies alone. Both processes get the same model file and the same worlds, and draw a tile in
turn. Times are processor seconds of one thread: waiting for a busy core does not count. The pictures are compared first.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import click
from rich.table import Table

from benchmarks.render import console, machine
from infgen.model.checkpoint import SHIPPED

WARM_UP = 3  # rounds that are not counted


def check_import(root: Path, environment: Mapping[str, str]) -> None:
    """Raise ClickException unless a process with ``environment`` imports infgen from the checkout ``root``."""
    words = [sys.executable, "-P", "-c", "import infgen; print(infgen.__file__)"]
    found = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=root, check=False).stdout.strip()
    if not found or not Path(found).resolve().is_relative_to(root):
        raise click.ClickException(
            f"checkout {root} is not what {sys.executable} imports (infgen: {found or 'not found'}); give a checkout, and "
            "use a Python without an import hook for infgen"
        )


class Release:
    """A process that draws tiles with the code of the checkout ``root``. Raises ClickException if it imports another."""

    def __init__(self, root: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        check_import(root, environment)
        words = [sys.executable, "-P", str(Path(__file__).resolve()), "--worker"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        )

    def draw(self, order: dict[str, Any]) -> dict[str, Any]:
        """Draw the tile of ``order``. Returns its processor seconds and the mean of its pixels."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def work() -> None:
    """Draw a tile for every line of standard input: the process of one release."""
    from infgen.bench.configurations import ring_world
    from infgen.geometry import Region
    from infgen.rendering.studio import Options, Studio, open_studio
    from infgen.world.world import World

    studios: dict[str, Studio] = {}
    for line in sys.stdin:
        order = json.loads(line)
        side = order["tile"]
        region = Region(-side // 2, -side // 2, side, side)
        if line not in studios:
            options = Options(threads=1, precision=order["precision"], tile_px=side)
            studio = open_studio(World(seed=0), model=order["model"], options=options)
            if order["styles"] > 1:
                studio = studio.with_world(ring_world(studio.plan(region), order["styles"]))
            studios = {line: studio}
        start = time.process_time()
        pixels = studios[line].array(region)
        seconds = time.process_time() - start
        print(json.dumps({"seconds": seconds, "mean": float(pixels.mean())}), flush=True)


@click.command()
@click.argument("other", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--model", type=click.Path(path_type=Path, exists=True), default=SHIPPED)
@click.option("--precision", multiple=True, default=("fp32", "bf16"), show_default=True)
@click.option("--styles", default="1,2,4", show_default=True)
@click.option("--tiles", default="709", show_default=True)
@click.option("--rounds", default=7, show_default=True)
def main(other: Path, model: Path, precision: tuple[str, ...], styles: str, tiles: str, rounds: int) -> None:
    """Compare this checkout with OTHER."""
    console.print(machine())
    table = Table("precision", "tile", "styles", "before, s", "now, s", "before / now", "Mpx/s now")
    with Release(other.resolve()) as before, Release(Path(__file__).resolve().parents[1]) as now:
        for kind, side, count in itertools.product(precision, map(int, tiles.split(",")), map(int, styles.split(","))):
            order = {"model": str(model.resolve()), "precision": kind, "tile": side, "styles": count}
            pairs = [(before.draw(order), now.draw(order)) for _ in range(rounds + WARM_UP)][WARM_UP:]
            if abs(pairs[0][0]["mean"] - pairs[0][1]["mean"]) > 1:
                raise click.ClickException(f"the two releases draw different pictures: {order}")
            old, new = (statistics.median(pair[i]["seconds"] for pair in pairs) for i in (0, 1))
            speed = side**2 / new / 1e6
            table.add_row(kind, str(side), str(count), f"{old:.3f}", f"{new:.3f}", f"{old / new:.2f}", f"{speed:.2f}")
    console.print(table)


if __name__ == "__main__":
    work() if "--worker" in sys.argv else main()

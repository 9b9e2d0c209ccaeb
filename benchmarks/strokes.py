"""Measure worlds of 1, 100 and 10,000 brush strokes: size of the document, and time of tiles near and far from them.

python -m benchmarks.strokes [--strokes 1 100 10000]
"""

import argparse
import time

import numpy as np
import torch

from infgen.geometry import Region
from infgen.rendering.studio import Studio, open_studio
from infgen.world.layout import ResolvedLayout
from infgen.world.strokes import Stroke, encode_points
from infgen.world.world import World

NEAR, FAR = Region(0, -128, 256, 256), Region(2**20, -128, 256, 256)
SPREAD_PX = 2000  # strokes begin within this distance of the origin
REPEATS = 3


def paint(count: int) -> World:
    """Make a world of four styles with ``count`` soft strokes of ten points around the origin."""
    rng = np.random.default_rng(0)
    styles = [{"name": f"style {i}", "seed": i} for i in range(4)]
    strokes = []
    for i in range(count):
        steps = rng.integers(-60, 60, (9, 2)).cumsum(axis=0)
        start = rng.integers(-SPREAD_PX, SPREAD_PX, 2) if i else np.array([100, 0])  # the first reaches the near tile
        points = [tuple(point) for point in np.vstack([start, start + steps]).tolist()]
        strokes.append(Stroke(points=encode_points(points), radius=60, hardness=0.5, style=f"style {1 + i % 3}"))
    return World(seed=7, layout=ResolvedLayout(styles=styles, transition=129, strokes=strokes))


def seconds(studio: Studio, region: Region) -> float:
    """Return the least CPU seconds of ``REPEATS`` renders."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        studio.array(region)
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Print one line for each number of strokes."""
    parser = argparse.ArgumentParser(description="Measure worlds with many brush strokes.")
    parser.add_argument("--strokes", type=int, nargs="+", default=[1, 100, 10_000])
    counts = parser.parse_args().strokes
    torch.set_num_threads(1)
    plain = open_studio(World(seed=7, style={"seed": 0}))
    print(f"no strokes: tile {seconds(plain, FAR):.3f} s of CPU time")
    for count in counts:
        world = paint(count)
        text = world.to_json()
        start = time.process_time()
        World.from_json(text)
        read, studio = time.process_time() - start, plain.with_world(world)
        near, far = seconds(studio, NEAR), seconds(studio, FAR)
        print(f"{count} strokes: {len(text):,} bytes, read in {read:.3f} s; tile near {near:.3f} s, far {far:.3f} s")


if __name__ == "__main__":
    main()

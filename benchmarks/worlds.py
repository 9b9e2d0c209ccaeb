"""Compare small pictures of several worlds one by one and in one batch: CPU seconds for each picture.

python -m benchmarks.worlds [--worlds 8]
"""

import argparse
import time
from collections.abc import Callable

import torch

from infgen.engines.base import to_pixels
from infgen.geometry import Region
from infgen.model.generator import Style
from infgen.rendering.render import batch_inputs
from infgen.rendering.studio import Studio, open_studio
from infgen.world.world import World

REGION = Region(-128, -96, 256, 192)
REPEATS = 3


def one_by_one(studio: Studio, seeds: range) -> None:
    """Render as ``infgen render --seeds``: the style is folded into the weights of each world."""
    for seed in seeds:
        studio.with_world(World(seed=seed)).array(REGION)


def together(studio: Studio, seeds: range) -> None:
    """Render all worlds in one call of the network, which modulates the weights for each of them."""
    worlds = [studio.with_world(World(seed=seed)) for seed in seeds]
    plan = worlds[0].plan(REGION)
    inputs = [batch_inputs(world.scene, plan, plan.batch_tiles(0)) for world in worlds]
    style = Style(torch.cat([i.style.z_g for i in inputs]), torch.cat([i.style.w_plus for i in inputs]))
    noises = [torch.cat(noise) for noise in zip(*(i.noises for i in inputs), strict=True)]
    z_l, coordinates = torch.cat([i.z_l for i in inputs]), torch.cat([i.coordinates for i in inputs])
    to_pixels(studio.generator(z_l, coordinates, style, noises))


@torch.inference_mode()
def measure(render: Callable[[Studio, range], None], studio: Studio, worlds: int) -> float:
    """Return the CPU seconds for each picture, the least of ``REPEATS`` runs."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        render(studio, range(worlds))
        seconds.append((time.process_time() - start) / worlds)
    return min(seconds)


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description="Compare pictures of several worlds one by one and in one batch.")
    parser.add_argument("--worlds", type=int, default=8)
    worlds = parser.parse_args().worlds
    torch.set_num_threads(1)
    studio = open_studio(World())
    for name, render in (("one by one", one_by_one), ("in one batch", together)):
        print(f"{worlds} worlds {name}: {measure(render, studio, worlds):.3f} s of CPU time each")


if __name__ == "__main__":
    main()

"""Estimate memory, disk space and time of a render before it starts."""

import time
from dataclasses import dataclass

import torch

from infgen import geometry
from infgen.engines.exported import ExportedEngine
from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.limits import TILE_MEMORY_MB
from infgen.memory import available_memory, total_memory
from infgen.model.config import PATCH_CELLS, GeneratorConfig
from infgen.rendering.cost import layer_costs, peak_bytes, tile_flops
from infgen.rendering.plan import MIN_TILE_CELLS, Plan, make_plan
from infgen.rendering.render import Scene, render_batch
from infgen.rendering.tile_inputs import styles_reaching

MAX_STYLES_IN_TILE = 16  # upper bound of styles in one tile, for estimates
PROBE_SHARE = 0.05  # of a render's time, at most, for one measurement of its speed
PROBE_SECONDS = 0.06  # for one measurement, at most, unless the render takes long
LONG_PROBE_SHARE = 0.002  # of the time of a long render, for one measurement
BASE_BYTES = 600 * 2**20  # Python, PyTorch, its kernels and the image library


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """Estimates for one render. ``memory`` and ``disk`` in bytes; ``seconds``: computing time."""

    pixels: int
    tiles: int
    tile_px: tuple[int, int]
    batch: int
    flops: int
    memory: int
    disk: int
    seconds: float


def tile_memory(device: torch.device) -> int:
    """Return the bytes allowed for one batch of tiles: INFGEN_TILE_MEMORY_MB, at most half of the device's memory.

    The result depends on installed memory (or a container's limit), not free memory, so that equal commands make equal plans.
    """
    on_gpu = device.type == "cuda"
    total = torch.cuda.get_device_properties(device).total_memory if on_gpu else total_memory()
    return int(min(TILE_MEMORY_MB.value() * 2**20, total // 2))


def weight_bytes(config: GeneratorConfig) -> int:
    """Return the bytes of the convolution weights in float32."""
    taps = {"structure": 49 if config.structure == "implicit" else 1, "texture": 9, "rgb": 1}
    layers = layer_costs(config, (PATCH_CELLS, PATCH_CELLS))
    return 4 * sum(c.in_channels * c.out_channels * taps[c.name.partition(".")[0]] for c in layers)


def estimate(scene: Scene, plan: Plan, *, disk: int, encode_memory: int) -> Preflight:
    """Estimate the cost of ``plan``. The speed is measured on two tiles.

    ``disk``: bytes of the output file. ``encode_memory``: bytes for encoding, which runs in parallel to rendering.

    Raises LimitError if the machine does not have enough memory.
    """
    config, engine = scene.engine.config, scene.engine
    memory = BASE_BYTES + 2 * weight_bytes(config) + batch_bytes(scene, plan) + encode_memory
    flops = tile_flops(config, plan.cells) * plan.batch_count * plan.batch
    _check_memory(memory, engine.device)
    return Preflight(
        pixels=plan.region.pixels,
        tiles=plan.tile_count,
        tile_px=plan.tile_px,
        batch=plan.batch,
        flops=flops,
        memory=memory,
        disk=disk,
        seconds=_tile_seconds(scene, plan) * plan.batch_count,
    )


def batch_bytes(scene: Scene, plan: Plan) -> int:
    """Estimate the bytes of one batch of ``plan`` while it is computed."""
    peak = peak_bytes(scene.engine.config, plan.cells, bytes_per_value=scene.engine.bytes_per_value)
    return plan.batch * (peak + _map_bytes(scene, plan))


def check_styles(scene: Scene, plan: Plan, engine: ExportedEngine) -> None:
    """Raise InputError if a tile of ``plan`` has more styles than the file of ``engine`` can mix."""
    layout = scene.world.layout
    if layout is None or len(layout.styles) <= engine.file.styles:
        return
    for index in range(plan.tile_count):
        position = plan.tile(index).position
        reaching = styles_reaching(scene.world, position, cells=plan.cells, config=engine.config)
        engine.check(styles=len(reaching))


def _map_bytes(scene: Scene, plan: Plan) -> int:
    """Return the bytes of the style weights of one tile: float32 on all lattices, and summed-area tables."""
    styles = len(scene.palette.styles.z_g)
    height, width = plan.tile_px
    return 0 if styles == 1 else min(styles, MAX_STYLES_IN_TILE) * height * width * 12


def _check_memory(needed: int, device: torch.device) -> None:
    available = available_memory()
    if device.type == "cpu" and needed > available:
        raise LimitError(
            f"the render needs about {needed >> 20} MiB of memory and {available >> 20} MiB are free; "
            "give a smaller --tile or --batch, or set INFGEN_TILE_MEMORY_MB lower"
        )


def _tile_seconds(scene: Scene, plan: Plan) -> float:
    """Estimate the seconds of one batch of ``plan`` from two tiles: the smallest, and a larger one if the render is long.

    A tile has a cost of its own besides its operations, the more so the more threads compute. Two sizes tell them apart.
    The first call of a size allocates, and other programs disturb any, so the faster of two calls counts.
    """
    config, fixed = scene.engine.config, scene.engine.fixed_cells
    if fixed is not None:
        probe = make_plan(Region(0, 0, 1, 1), config, memory=2**40, fixed_cells=fixed)
        return _time_twice(scene, probe)[1] * plan.batch / probe.batch
    work, smallest = tile_flops(config, plan.cells), tile_flops(config, (MIN_TILE_CELLS, MIN_TILE_CELLS))
    small = smallest, min(_time_twice(scene, _probe(config, MIN_TILE_CELLS)))
    affordable = smallest * probe_seconds(small[1] * work * plan.tile_count / smallest) / small[1]
    cells = MIN_TILE_CELLS
    while cells < min(plan.cells) and tile_flops(config, (cells + 1, cells + 1)) <= affordable:
        cells += 1
    if cells == MIN_TILE_CELLS:
        return plan.batch * extrapolate(small, small, work)
    large = tile_flops(config, (cells, cells)), min(_time_twice(scene, _probe(config, cells)))
    return plan.batch * extrapolate(small, large, work)


def probe_seconds(render: float) -> float:
    """Return the seconds that one measurement may take before a render of ``render`` seconds."""
    return min(PROBE_SHARE * render, max(PROBE_SECONDS, LONG_PROBE_SHARE * render))


def extrapolate(small: tuple[int, float], large: tuple[int, float], flops: int) -> float:
    """Return the seconds of ``flops`` on the line through two measurements (operations, seconds) of tiles.

    Equal sizes, and a large tile that was measured faster than a small one, give a line through zero.
    """
    rate = (large[1] - small[1]) / max(1, large[0] - small[0])
    if rate <= 0:
        return large[1] * flops / large[0]
    overhead = max(0.0, small[1] - rate * small[0])
    return overhead + (large[1] - overhead) * flops / large[0]


def _probe(config: GeneratorConfig, cells: int) -> Plan:
    """Plan one square tile of ``cells``."""
    side = geometry.tile_px(cells, levels=config.levels)
    return make_plan(Region(0, 0, 1, 1), config, memory=2**40, tile_px=side)


def _time_twice(scene: Scene, probe: Plan) -> tuple[float, float]:
    """Return the seconds of two calls of ``probe``."""
    return _time_tile(scene, probe), _time_tile(scene, probe)


def _time_tile(scene: Scene, probe: Plan) -> float:
    """Return the seconds of one call of ``probe``."""
    start = time.perf_counter()
    render_batch(scene, probe, 0)
    return max(time.perf_counter() - start, 1e-9)

"""Estimate memory, disk space and time of a render before it starts."""

import time
from dataclasses import dataclass

import torch

from infgen.engines.exported import ExportedEngine
from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.limits import TILE_MEMORY_MB
from infgen.memory import available_memory, total_memory
from infgen.model.config import PATCH_CELLS, GeneratorConfig
from infgen.rendering.cost import layer_costs, peak_bytes, tile_flops
from infgen.rendering.plan import Plan, make_plan
from infgen.rendering.render import Scene, render_tiles
from infgen.rendering.tile_inputs import styles_reaching

MAX_STYLES_IN_TILE = 16  # upper bound of styles in one tile, for estimates
BASE_BYTES = 600 * 2**20  # Python, PyTorch, its kernels and the image library


@dataclass(frozen=True)
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
    """Estimate the cost of ``plan``. The speed is measured on two small tiles.

    ``disk``: bytes of the output file. ``encode_memory``: bytes for encoding, which runs in parallel to rendering.

    Raises LimitError if the machine does not have enough memory.
    """
    config, engine = scene.engine.config, scene.engine
    peak = plan.batch * (
        peak_bytes(config, plan.cells, bytes_per_value=engine.bytes_per_value) + _map_bytes(scene, plan)
    )
    memory = BASE_BYTES + 2 * weight_bytes(config) + peak + encode_memory
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
        seconds=flops / _flops_per_second(scene),
    )


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


def _flops_per_second(scene: Scene) -> float:
    """Measure the speed on one training patch, after a first run that folds the style and warms up."""
    config = scene.engine.config
    side, fixed = config.patch_px, scene.engine.fixed_cells
    probe = make_plan(
        Region(0, 0, side - 4, side - 4) if fixed is None else Region(0, 0, 1, 1),
        config,
        memory=2**40,
        tile_px=side if fixed is None else None,
        fixed_cells=fixed,
    )
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        for _tile in render_tiles(scene, probe):
            pass
        seconds = time.perf_counter() - start
    return tile_flops(config, probe.cells) * probe.batch_count / max(seconds, 1e-9)

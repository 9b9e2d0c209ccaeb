"""Seconds for one image against batch size and number of devices (the paper's Tables 3 and 5).

Tiles of one training patch in batches are compared with the whole image in one piece, and with a generator like
StyleGAN2's: zero padding, no structure synthesizer, one piece.
"""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

import torch

from infgen import geometry
from infgen.engines.eager import DTYPES, Precision
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.progress import Phase, Progress, silent_phase
from infgen.rendering.cost import peak_bytes, tile_flops
from infgen.rendering.plan import MAX_BATCH, MIN_TILE_CELLS, Plan, make_plan
from infgen.rendering.preflight import tile_memory
from infgen.rendering.render import render_batch
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

TILES, ONE_PIECE, PADDED = "tiles", "one piece", "one piece, zero padding"
TOO_LARGE = "too large"  # for the memory of a batch of tiles


@dataclass(frozen=True)
class BatchRequest:
    """The square of ``side`` px around the origin of world 0, in tiles of ``tile_px`` (None: the training patch).

    ``devices``: the first one alone, then 2, 4 ... and all of them render together.
    """

    model: Path
    _: KW_ONLY
    side: int = 1024
    batches: tuple[int, ...] = (1, 2, 4, 8)
    devices: tuple[str, ...] = ()
    tile_px: int | None = None
    precision: Precision = "fp32"
    repeats: int = 3
    threads: int | None = None

    def __post_init__(self) -> None:
        if not all(1 <= batch <= MAX_BATCH for batch in self.batches):
            raise InputError(f"batches {self.batches} are out of range; allowed are 1 to {MAX_BATCH}")
        if len(set(self.devices)) < len(self.devices):
            raise InputError(f"devices {','.join(self.devices)} name one device twice; give each once")

    @property
    def region(self) -> Region:
        """The region to render, with the horizon in its middle. Raises InputError if ``side`` is not a valid size."""
        return Region(-(self.side // 2), -(self.side // 2), self.side, self.side)

    @property
    def device_counts(self) -> list[int]:
        """1, 2, 4 ... and the number of all devices."""
        count = max(1, len(self.devices))
        return sorted({*(2**i for i in range(count.bit_length()) if 2**i <= count), count})


@dataclass(frozen=True)
class BatchRow:
    """One way to compute the image. ``flops``: operations of all convolutions. ``seconds``: median; None: ``reason``."""

    kind: str
    batch: int
    _: KW_ONLY
    devices: int
    tiles: int
    tile_px: int
    flops: int
    seconds: float | None
    reason: str = ""


def measure_batches(request: BatchRequest, *, phase: Phase = silent_phase, baselines: bool = True) -> list[BatchRow]:
    """Measure every batch on every number of devices, then the two baselines on the first device.

    Raises InputError for an unusable model, device, size or tile. Batches that need more memory than
    INFGEN_TILE_MEMORY_MB are not measured.
    """
    studios = [_open(request, device) for device in request.devices or (None,)]
    ways = [_Tiles(studios[:count], _plan(studios[0], request, batch)) for count, batch in _grid(request, studios[0])]
    rows = []
    for way in [*ways, *(_baselines(studios[0], request) if baselines else ())]:
        with phase(way.title) as progress:
            rows.append(_measure(way, request.repeats, progress))
    return rows


def _open(request: BatchRequest, device: str | None) -> Studio:
    options = Options(precision=request.precision, threads=request.threads, device=device)
    return open_studio(World(seed=0), model=request.model, options=options)


def _grid(request: BatchRequest, studio: Studio) -> Iterator[tuple[int, int]]:
    """Yield (devices, batch), each batch once: one with more places than tiles would compute tiles in vain."""
    tiles = _plan(studio, request, 1).tile_count
    for count in request.device_counts:
        for batch in dict.fromkeys(min(batch, tiles) for batch in request.batches):
            yield count, batch


def _plan(studio: Studio, request: BatchRequest, batch: int) -> Plan:
    engine = studio.scene.engine
    tile_px = request.tile_px or engine.config.patch_px
    return make_plan(request.region, engine.config, memory=0, tile_px=tile_px, batch=batch)


@dataclass(frozen=True)
class _Tiles:
    """The image in the tiles of ``plan``, with one thread for each studio's device."""

    studios: Sequence[Studio]
    plan: Plan

    @property
    def kind(self) -> str:
        return TILES if self.plan.tile_count > 1 else ONE_PIECE

    @property
    def title(self) -> str:
        return f"{self.kind}, batch {self.plan.batch}, {len(self.studios)} devices"

    @property
    def config(self) -> GeneratorConfig:
        return self.studios[0].scene.engine.config

    @property
    def needed_bytes(self) -> int:
        width = self.studios[0].scene.engine.bytes_per_value
        return self.plan.batch * peak_bytes(self.config, self.plan.cells, bytes_per_value=width)

    @property
    def device(self) -> torch.device:
        return self.studios[0].scene.engine.device

    def warm_up(self) -> None:
        """Compute the first batch on every device."""
        for studio in self.studios:
            render_batch(studio.scene, self.plan, 0)

    def run(self) -> None:
        queue: SimpleQueue[int] = SimpleQueue()
        for index in range(self.plan.batch_count):
            queue.put(index)

        def work(studio: Studio) -> None:
            try:
                while True:
                    render_batch(studio.scene, self.plan, queue.get_nowait())
            except Empty:
                return

        if len(self.studios) == 1:
            work(self.studios[0])
            return
        with ThreadPoolExecutor(len(self.studios)) as pool:
            list(pool.map(work, self.studios))

    def row(self, seconds: float | None, reason: str = "") -> BatchRow:
        plan = self.plan
        flops = plan.batch_count * plan.batch * tile_flops(self.config, plan.cells)
        devices = len(self.studios)
        return BatchRow(
            self.kind,
            plan.batch,
            devices=devices,
            tiles=plan.tile_count,
            tile_px=plan.tile_px[1],
            flops=flops,
            seconds=seconds,
            reason=reason,
        )


@dataclass(frozen=True)
class _Padded:
    """The image by a generator with zero padding and without a structure synthesizer, with random weights."""

    generator: Generator
    side: int
    dtype: torch.dtype

    kind = title = PADDED

    @property
    def config(self) -> GeneratorConfig:
        return self.generator.config

    @property
    def device(self) -> torch.device:
        return self.generator.mean_style.device

    @property
    def cells(self) -> tuple[int, int]:
        n = max(MIN_TILE_CELLS, math.ceil(self.side / geometry.cell_px(self.config.levels)))
        return n, n

    @property
    def needed_bytes(self) -> int:
        return peak_bytes(self.config, self.cells, bytes_per_value=self.dtype.itemsize)

    def warm_up(self) -> None:
        replace(self, side=MIN_TILE_CELLS * geometry.cell_px(self.config.levels)).run()

    @torch.inference_mode()
    def run(self) -> None:
        rng = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=rng).to(self.device, self.dtype)

        height, width = (n + 2 * geometry.STRUCTURE_HALO for n in self.cells)
        z_l = draw(1, self.config.local_channels, height, width)
        coordinates = draw(1, self.config.coordinate_channels, height, width)
        noises = [draw(1, 1, *shape) for shape in self.config.noise_shapes(self.cells)]
        style = self.generator.style(torch.randn(1, self.config.global_channels, device=self.device))
        self.generator(z_l, coordinates, style, noises).cpu()

    def row(self, seconds: float | None, reason: str = "") -> BatchRow:
        side = self.cells[0] * geometry.cell_px(self.config.levels)
        return BatchRow(
            PADDED,
            1,
            devices=1,
            tiles=1,
            tile_px=side,
            flops=tile_flops(self.config, self.cells),
            seconds=seconds,
            reason=reason,
        )


def _baselines(studio: Studio, request: BatchRequest) -> tuple[_Tiles, _Padded]:
    engine = studio.scene.engine
    config = engine.config
    levels = config.levels
    start = request.region.x
    before = start - geometry.first_px(geometry.first_cell(start, levels=levels), levels=levels)
    cells = geometry.cells_covering(before + request.side, levels=levels)
    whole = make_plan(
        request.region, config, memory=0, tile_px=geometry.tile_px(max(cells, MIN_TILE_CELLS), levels=levels)
    )
    padded = replace(config, structure="none", padding=True, coordinates="object", scales=(), view_px=None, halvings=0)
    generator = Generator(padded).to(engine.device).eval()
    return _Tiles([studio], whole), _Padded(generator, request.side, DTYPES[request.precision])


def _measure(way: _Tiles | _Padded, repeats: int, progress: Progress) -> BatchRow:
    if way.needed_bytes > tile_memory(way.device):
        return way.row(None, TOO_LARGE)
    times = []
    try:
        way.warm_up()
        for done in range(repeats):
            start = time.perf_counter()
            way.run()
            times.append(time.perf_counter() - start)
            progress(done + 1, repeats)
    except torch.OutOfMemoryError:
        return way.row(None, TOO_LARGE)
    return way.row(statistics.median(times))

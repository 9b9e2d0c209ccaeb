"""Verify a picture file against its provenance: render some tiles again and compare them with the file."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infgen.engines.eager import DTYPES
from infgen.engines.selection import engine_kind
from infgen.engines.tile_file import PRECISIONS
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.limits import MIB, TILE_MEMORY_MB
from infgen.model.checkpoint import shipped_by_hash
from infgen.model.config import parse_scale
from infgen.pixels import Pixels
from infgen.progress import Progress, silent
from infgen.rendering.plan import Plan, same_plan
from infgen.rendering.preflight import batch_bytes, tile_memory
from infgen.rendering.render import Scene, render_batch
from infgen.rendering.studio import Options, open_studio
from infgen.sinks import picture_size, read_provenance, read_region
from infgen.version import __version__
from infgen.world.world import World

CLOSE = 1  # largest difference of 255 between two engines ...
MOSTLY = 0.999  # ... on all but this share of values
LOSSY_MEAN = 8.0  # upper bound of the mean difference of a JPEG of quality 95, even on noise


@dataclass(frozen=True)
class TileCheck:
    """Comparison of one tile: ``largest`` and ``mean`` difference of values (of 255), share of ``equal`` values."""

    number: int
    largest: int
    equal: float
    mean: float

    def passes(self, *, lossy: bool) -> bool:
        """Return whether the tile agrees with the provenance."""
        return self.mean <= LOSSY_MEAN if lossy else self.largest <= CLOSE and self.equal >= MOSTLY


@dataclass(frozen=True)
class Verification:
    """Result for one file. ``tiles_in_all``: number of tiles of the picture."""

    checks: tuple[TileCheck, ...]
    tiles_in_all: int
    lossy: bool
    made_by: str  # version of infgen

    @property
    def passed(self) -> bool:
        """Whether every tile agrees."""
        return all(check.passes(lossy=self.lossy) for check in self.checks)


def verify(
    path: str,
    *,
    model: str | Path | None = None,
    tiles: int = 8,
    seed: int | None = None,
    options: Options | None = None,
    progress: Progress = silent,
) -> Verification:
    """Render ``tiles`` random tiles of the picture file ``path`` again and compare them with it.

    ``model`` None: the shipped model that rendered it. Anchor files must be in the folder of ``path``.
    ``options``: threads, device and engine; the provenance gives the rest.
    Raises InputError for a file without provenance, for another model, or for another size than in the provenance.
    """
    provenance = read_provenance(path)
    if provenance is None:
        raise InputError(f"{path} has no provenance; infgen did not render it, or another program removed it")
    if "projection" in provenance:
        raise InputError(
            f"{path} is a planet, whose rows are averaged near the poles; to compare it, render it again with infgen planet"
        )
    scene, plan = _scene_and_plan(provenance, path, model=model, options=options or Options())
    if (size := picture_size(path)) != (plan.region.w, plan.region.h):
        raise InputError(
            f"{path} has {size[0]} x {size[1]} px and its provenance {plan.region.w} x {plan.region.h}; it was cut or scaled"
        )
    if tiles < 1:
        raise InputError(f"tiles {tiles} is not possible; give 1 or more")
    batches = random.Random(seed).sample(range(plan.batch_count), min(tiles, plan.batch_count))
    checks: list[TileCheck] = []
    for done, index in enumerate(sorted(batches)):
        progress(done, len(batches))
        for tile, pixels in render_batch(scene, plan, index):
            checks.append(_compare(tile.number, pixels, read_region(path, plan.grid.box(tile.number))))
    progress(len(batches), len(batches))
    lossy = Path(path).suffix.lower() in (".jpg", ".jpeg")
    return Verification(tuple(checks), plan.tile_count, lossy, str(provenance.get("infgen", "?")))


def _compare(number: int, drawn: Pixels, stored: Pixels) -> TileCheck:
    difference = np.abs(drawn.astype(np.int16) - stored)
    return TileCheck(number, int(difference.max()), float((difference == 0).mean()), float(difference.mean()))


def _scene_and_plan(
    provenance: dict[str, Any], path: str, *, model: str | Path | None, options: Options
) -> tuple[Scene, Plan]:
    try:
        region = Region(*(int(provenance["region"][name]) for name in "xywh"))
        height, width = (int(px) for px in provenance["tile"])
        batch, precision, model_hash = int(provenance["batch"]), provenance["precision"], provenance["model"]["sha256"]
        document, scale = dict(provenance["world"]), str(provenance.get("scale", "1"))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the provenance in {path} is incomplete ({error!r}); it was written by another program"
        ) from None
    if precision not in PRECISIONS:
        raise InputError(
            f"the provenance in {path} has precision {precision!r}; this infgen {__version__} knows {', '.join(PRECISIONS)}"
        )
    if engine_kind(options.engine, options.engine_file) == "eager" and precision not in DTYPES:
        raise InputError(
            f"{path} was rendered in {precision} by engine {provenance.get('engine')}; give its file with --engine-file"
        )
    chosen = replace(options, precision=precision, tile_px=None, halvings=parse_scale(scale))
    world = World.create(**document).in_folder(Path(path).parent)
    studio = open_studio(world, model=model or shipped_by_hash(model_hash), options=chosen)
    if studio.model_hash != model_hash:
        raise InputError(
            f"{path} was rendered by model {provenance['model'].get('name')} ({str(model_hash)[:12]}...), and "
            f"{studio.model_path} is {studio.model_hash[:12]}...; give the right one with --model"
        )
    levels = studio.scene.engine.config.levels
    plan = same_plan(region, tile_px=(height, width), batch=batch, levels=levels)
    _check_memory(studio.scene, plan, path)
    return studio.scene, plan


def _check_memory(scene: Scene, plan: Plan, path: str) -> None:
    """Raise LimitError if one batch of ``plan``, which the file ``path`` asks for, takes more memory than a render may."""
    needed, allowed = batch_bytes(scene, plan), tile_memory(scene.engine.device)
    if needed > allowed:
        height, width = plan.tile_px
        raise LimitError(
            f"{path} asks for {plan.batch} tiles of {width} x {height} px at once, about {needed / MIB:,.0f} MiB, and allowed "
            f"are {allowed / MIB:,.0f}; raise {TILE_MEMORY_MB.name} if you trust the file"
        )

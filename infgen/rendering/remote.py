"""Describe a studio as plain values for other processes, and report their failures."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Self

from infgen.errors import InfgenError, one_line
from infgen.model.shipped import shipped_name
from infgen.rendering.plan import Plan
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

TRIES = 3  # per batch; the others continue after that
_NAMED = 5  # failures that a message lists


@dataclass(frozen=True)
class StudioSpec:
    """A studio as plain values, to send to other processes. A shipped ``model`` is its name: each machine has its own file.

    ``folder``: folder of the world's anchor files, the same on all machines.
    """

    world_json: str
    model: str
    _: KW_ONLY
    options: Options
    folder: str | None = None

    @classmethod
    def of(cls, studio: Studio) -> Self:
        model = shipped_name(studio.model_path) or str(studio.model_path)
        options = studio.options
        if options.engine_file is not None:
            options = replace(options, engine_file=str(Path(options.engine_file).resolve()))
        world = studio.scene.world
        return cls(world.to_json(), model, options=options, folder=None if world.folder is None else str(world.folder))

    def open(self, *, device: str | None = None) -> Studio:
        """Open the studio, on ``device`` if given. Raises InputError if the model cannot be loaded."""
        options = self.options if device is None else replace(self.options, device=device)
        world = World.from_json(self.world_json).in_folder(self.folder)
        return open_studio(world, model=self.model, options=options)


def failure(plan: Plan, reasons: Mapping[int, str]) -> InfgenError:
    """Make the error that names the failed batches (number -> reason)."""
    named = [f"batch {index} ({_tiles(plan, index)}): {reasons[index]}" for index in sorted(reasons)[:_NAMED]]
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return InfgenError(
        f"{len(reasons)} of {plan.batch_count} batches failed {TRIES} times: {'; '.join(named)}{more}; "
        "all other tiles are kept: fix the cause and add --resume"
    )


def _tiles(plan: Plan, index: int) -> str:
    first, last = index * plan.batch, min((index + 1) * plan.batch, plan.tile_count) - 1
    return f"tile {first}" if first == last else f"tiles {first} to {last}"


def describe_error(error: BaseException) -> str:
    """Return type and message of ``error`` without line breaks."""
    return f"{type(error).__name__}: {one_line(error)}"

"""What other processes need to draw the same pixels: a studio described in words, and how failures of theirs are reported."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from infgen.errors import InfgenError
from infgen.model.checkpoint import SHIPPED
from infgen.rendering.plan import Plan
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

TRIES = 3  # of a batch, before it is given up and the rest goes on
_NAMED = 5  # failures that a message lists


@dataclass(frozen=True)
class StudioSpec:
    """A studio as plain values, which travel to other processes. ``model`` None: the shipped one, wherever it lies there.

    ``folder``: where the files of the world's anchors lie, there as here.
    """

    world_json: str
    model: str | None
    options: Options
    folder: str | None = None

    @classmethod
    def of(cls, studio: Studio) -> Self:
        """The description of ``studio``."""
        model = None if studio.model_path == SHIPPED else str(studio.model_path)
        options = studio.options
        if options.engine_file is not None:
            options = replace(options, engine_file=str(Path(options.engine_file).resolve()))
        world = studio.scene.world
        return cls(world.to_json(), model, options, None if world.folder is None else str(world.folder))

    def open(self, *, device: str | None = None) -> Studio:
        """The studio, on ``device`` instead of its own where given. Raises InputError where the model is not to be had."""
        options = self.options if device is None else replace(self.options, device=device)
        world = World.from_json(self.world_json).in_folder(self.folder)
        return open_studio(world, model=self.model, options=options)


def failure(plan: Plan, reasons: Mapping[int, str]) -> InfgenError:
    """The error that names batches (number -> reason) which could not be drawn although all others were."""
    named = [f"batch {index} ({_tiles(plan, index)}): {reasons[index]}" for index in sorted(reasons)[:_NAMED]]
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return InfgenError(
        f"{len(reasons)} of {plan.batch_count} batches failed {TRIES} times: {'; '.join(named)}{more}; "
        "all other tiles are kept: mend the cause and add --resume"
    )


def _tiles(plan: Plan, index: int) -> str:
    first, last = index * plan.batch, min((index + 1) * plan.batch, plan.tile_count) - 1
    return f"tile {first}" if first == last else f"tiles {first} to {last}"


def one_line(error: BaseException) -> str:
    """Kind and message of ``error`` without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": ")

"""Options of ``outpaint``, ``inbetween`` and ``panorama``, as one decorator, and their values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from infgen.cli.default_output import default_path
from infgen.cli.options import device_option, model_option, quiet_option, threads_option
from infgen.cli.seeds import SEED
from infgen.errors import InputError
from infgen.inputs import Read, check_outputs
from infgen.inversion.arrangement import FEATHER_PX, Scale
from infgen.inversion.outputs import Outputs
from infgen.inversion.placing import MIDDLE, WORKING_HEIGHT_PX, Placed, place
from infgen.inversion.selecting import CANDIDATES
from infgen.inversion.settings import DEFAULT_SETTINGS, NAMED_SETTINGS, Settings
from infgen.model.checkpoint import read_config, resolve
from infgen.photo import Photograph
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World

AUTO = "auto"
# Former names of the options below, for the commands' ``renamed``.
FORMER_INVERSION = {"--recipe": "--settings", "--steps": "--inversion-steps", "--seconds": "--inversion-seconds"}
FORMER_NAMES = {"--scale": "--output-size", "--height": "--working-height", **FORMER_INVERSION}

_Function = TypeVar("_Function", bound=Callable[..., Any])
settings_option = click.option(
    "--settings",
    "settings_name",
    type=click.Choice(list(NAMED_SETTINGS)),
    default=DEFAULT_SETTINGS,
    show_default=True,
    help="Settings of the inversion: for continuation, those of the paper, or the closest reconstruction.",
)
_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="Picture to write: PNG, JPEG, WebP or TIFF. [default: a PNG named after the photograph]",
    ),
    click.option(
        "--keep-original/--no-keep-original", default=True, show_default=True, help="Keep the photograph's own pixels."
    ),
    click.option(
        "--feather",
        type=click.IntRange(0, 10_000),
        help=f"Width in px of the blend around photographs. [default: {FEATHER_PX} px at working size]",
    ),
    click.option(
        "--output-size",
        "scale",
        type=click.Choice(get_args(Scale)),
        default="source",
        show_default=True,
        help="source: output at the photograph's own size; work: at the working height, which is faster.",
    ),
    click.option(
        "--strip", is_flag=True, help="Write no metadata of the photograph, such as camera, date, copyright and place."
    ),
    click.option(
        "--working-height",
        "height",
        type=int,
        default=WORKING_HEIGHT_PX,
        show_default=True,
        help="Scale photographs to this working height in px for the model.",
    ),
    click.option(
        "--horizon",
        default=AUTO,
        show_default=True,
        help="Row of the horizon: auto, or a fraction of the height from the upper edge.",
    ),
    click.option(
        "--seed",
        type=SEED,
        default=0,
        show_default=True,
        help="Seed of the world.",
    ),
    settings_option,
    click.option(
        "--vgg-weights",
        type=click.Path(path_type=Path),
        help="VGG16 file. Needed for --settings paper. [default: PyTorch's cache]",
    ),
    click.option(
        "--candidates",
        type=click.IntRange(1, 256),
        default=CANDIDATES,
        show_default=True,
        help="Number of seeds to try for each picture; the continuation most like the photographs is kept.",
    ),
    click.option(
        "--inversion-steps",
        "steps",
        type=click.IntRange(0, 100_000),
        help="Limit of steps of an inversion; 0 skips it. "
        f"[default: {', '.join(f'{found.steps} for {name}' for name, found in NAMED_SETTINGS.items())}]",
    ),
    click.option(
        "--inversion-seconds",
        "seconds",
        type=click.FloatRange(0, 10**7, min_open=True),
        help="Limit of seconds of an inversion.",
    ),
    click.option(
        "--latents",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Use these latents of an earlier run instead of inverting; repeat it for several photographs.",
    ),
    click.option(
        "--preview",
        type=click.Path(path_type=Path),
        help="Write the state of the inversion to this PNG every few seconds.",
    ),
    model_option,
    threads_option,
    device_option,
    quiet_option,
)


def photograph_options(function: _Function) -> _Function:
    """Add the options of all three commands."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, kw_only=True)
class PhotographOptions:
    """The values of the shared options."""

    output: Path | None
    keep_original: bool
    feather: int | None
    strip: bool
    scale: Scale
    height: int
    horizon: str
    seed: int
    candidates: int
    settings_name: str
    vgg_weights: Path | None
    steps: int | None
    seconds: float | None
    latents: tuple[Path, ...]
    preview: Path | None
    model: str | None
    threads: int | None
    device: str | None
    quiet: bool

    @property
    def settings(self) -> Settings:
        """Settings of the inversions. Raises InputError for VGG16 weights that they do not use."""
        chosen = NAMED_SETTINGS[self.settings_name]
        if self.vgg_weights is not None and chosen.lpips != "vgg":
            raise InputError(
                f"--vgg-weights {self.vgg_weights} is given, and --settings {self.settings_name} uses AlexNet; "
                "give --settings paper"
            )
        steps = chosen.steps if self.steps is None else self.steps
        return replace(chosen, steps=steps, seed=self.seed, lpips_weights=self.vgg_weights)

    @property
    def fraction(self) -> float | None:
        """The horizon as a fraction of the height, or None to estimate it. Raises InputError for anything else.

        For a model without a horizon it is the middle, and a given one is an error.
        """
        is_auto = self.horizon.strip().lower() == AUTO
        if not read_config(resolve(self.model)).has_horizon:
            if not is_auto:
                raise InputError(
                    f"--horizon {self.horizon[:40]} is given and model {self.model} has no horizon; omit it: the middle of "
                    "the photograph lies at y = 0"
                )
            return MIDDLE
        if is_auto:
            return None
        try:
            return float(self.horizon)
        except ValueError:
            raise InputError(
                f"--horizon {self.horizon[:40]!r} is not a number; give auto or a fraction such as 0.4"
            ) from None

    def check_outputs(self, *photographs: Path, mask: Path | None = None, samples: int = 1) -> None:
        """Raise InputError if a file that the command writes is one that it reads."""
        reads: list[Read] = [("mask", mask), ("model file", self.model)]
        reads += [("photograph", path) for path in photographs] + [("latents", path) for path in self.latents]
        named = () if self.output is None else Outputs(self.output, samples).files  # a default name is free
        check_outputs([*named, self.preview], reads)

    def place(self, photograph: Photograph, *, x: int = 0) -> Placed:
        """Scale the photograph to working size and place its left edge at column ``x`` of the world."""
        return place(photograph, height=self.height, horizon=self.fraction, x=x)

    def outputs(self, stem: str, *, samples: int) -> Outputs:
        """Name the files of the run. ``stem``: name of the picture without -o, in the current folder."""
        if self.output is not None:
            return Outputs(self.output, samples)
        return Outputs(default_path(stem, ".png", companions=lambda path: Outputs(path, samples).files), samples)

    def open_studio(self) -> Studio:
        return open_studio(World(), model=self.model, options=Options(threads=self.threads, device=self.device))

    def report(self, text: str) -> None:
        """Print a line to standard error, unless ``quiet``."""
        if not self.quiet:
            click.echo(text, err=True)

"""Shared by ``outpaint``, ``inbetween`` and ``panorama``: options, messages before the work, inversion, writing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from infgen.atomic import check_output, write_atomically
from infgen.cli.options import device_option, model_option, quiet_option, threads_option
from infgen.cli.progress import progress
from infgen.engines.base import to_pixels
from infgen.errors import InputError
from infgen.inversion.arrangement import FEATHER_PX, Arrangement
from infgen.inversion.continuation import Joining, invert_photograph, open_working_studio
from infgen.inversion.invert import CONTINUING, SMALLEST_PX, check_latents
from infgen.inversion.optimise import Inversion, Step
from infgen.inversion.outputs import Outputs, draw
from infgen.inversion.placing import WORKING_HEIGHT_PX, Placed, place
from infgen.inversion.window import Cover
from infgen.model.config import scale_name
from infgen.photo import Photograph, open_photograph
from infgen.rendering.cost import tile_flops
from infgen.rendering.preflight import estimate
from infgen.rendering.studio import Studio
from infgen.world.anchors import AnchoredLatents

AUTO = "auto"
PREVIEW_SECONDS = 5.0
LINE_SECONDS = 15.0
STEP_COST = 3.5  # time of one step over the time of rendering the same window: forwards, backwards and LPIPS
FAR_OFF = 1.5  # latents with a larger drift are called far from the prior; worlds have about 1

_Function = TypeVar("_Function", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        help="Picture to write: PNG, JPEG, WebP or TIFF.",
    ),
    click.option(
        "--keep-original/--no-keep-original", default=True, show_default=True, help="Keep the photograph's own pixels."
    ),
    click.option(
        "--feather",
        type=click.IntRange(0, 10_000),
        help="Width in px of the feathered blend at the photograph's edges. "
        f"[default: {FEATHER_PX} px at working size]",
    ),
    click.option(
        "--height",
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
        type=click.IntRange(-(2**63), 2**64 - 1),
        default=0,
        show_default=True,
        help="Seed of the world around the photographs.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1, 100_000),
        default=CONTINUING.steps,
        show_default=True,
        help="Limit of steps of an inversion.",
    ),
    click.option("--seconds", type=click.FloatRange(0, 10**7, min_open=True), help="Limit of seconds of an inversion."),
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


def shared_options(function: _Function) -> _Function:
    """Add the options of all three commands."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The values of the shared options."""

    output: Path
    keep_original: bool
    feather: int | None
    height: int
    horizon: str
    seed: int
    steps: int
    seconds: float | None
    latents: tuple[Path, ...]
    preview: Path | None
    model: str | None
    threads: int | None
    device: str | None
    quiet: bool

    @property
    def fraction(self) -> float | None:
        """The horizon as a fraction of the height, or None to estimate it. Raises InputError for anything else."""
        if self.horizon.strip().lower() == AUTO:
            return None
        try:
            return float(self.horizon)
        except ValueError:
            raise InputError(
                f"--horizon {self.horizon[:40]!r} is not a number; give auto or a fraction such as 0.4"
            ) from None

    def place(self, photograph: Photograph, *, x: int = 0) -> Placed:
        """Scale the photograph to working size and place its left edge at column ``x`` of the world."""
        return place(photograph, height=self.height, horizon=self.fraction, x=x)

    def report(self, text: str) -> None:
        """Print a line to standard error, unless ``quiet``."""
        if not self.quiet:
            click.echo(text, err=True)


def read_photograph(path: Path) -> Photograph:
    """Read the photograph in the file ``path``. Raises InputError for anything else."""
    return open_photograph(path, short_px=SMALLEST_PX)


def open_working_studio(shared: Shared) -> Studio:
    """Load the model at the scale of inversion."""
    return open_working_studio(model=shared.model, threads=shared.threads, device=shared.device)


def make(
    arrangement: Arrangement, shared: Shared, *, studio: Studio, samples: int = 1, notes: Sequence[str] = ()
) -> None:
    """Check, estimate, invert and render, then print the names of the files. ``notes``: lines to print before the work."""
    outputs = Outputs(shared.output, samples)
    outputs.check(arrangement)
    _check_latents(arrangement, shared, studio)
    if not shared.quiet:
        work = _describe_work(arrangement, shared, studio, samples)
        for line in (*_describe_photographs(arrangement), *notes, *work):
            shared.report(line)
    files = _save_latents(arrangement, shared, studio=studio, outputs=outputs)
    with progress("rendering", unit="pictures", quiet=shared.quiet) as advance:
        written = draw(
            arrangement,
            files,
            studio=studio,
            outputs=outputs,
            seed=shared.seed,
            joining=Joining(shared.keep_original, shared.feather),
            progress=advance,
        )
    for path in written:
        click.echo(path)


def _check_latents(arrangement: Arrangement, shared: Shared, studio: Studio) -> None:
    """Check everything that could otherwise fail after the first inversion."""
    arrangement.check_size()
    studio.plan(arrangement.region)
    if shared.preview is not None:
        check_output(shared.preview)
    if len(shared.latents) > len(arrangement.photographs):
        raise InputError(
            f"{len(shared.latents)} --latents files are given for {len(arrangement.photographs)} photographs; give at most "
            "one for each, in their order"
        )
    config, period = studio.generator.config, arrangement.period
    for photo in arrangement.photographs:
        Cover.of(photo.target(), config, period=period)
    for path, photo in zip(shared.latents, arrangement.photographs, strict=False):
        check_latents(path, photo, config=config, model_sha256=studio.model_hash, period=period)


def _describe_photographs(arrangement: Arrangement) -> list[str]:
    lines = []
    for photo in arrangement.photographs:
        name, image, window = photo.photograph.name, photo.photograph.image, photo.region
        lines += [f"{name} {remark}" for remark in photo.photograph.remarks]
        confidence = photo.horizon.confidence
        found = (
            "as given"
            if confidence is None
            else f"estimated, confidence {confidence:.2f}"
            if confidence
            else "not found, so the middle"
        )
        lines.append(
            f"{name}: {image.width} x {image.height} px, inverted at {window.w} x {window.h} px from ({window.x}, {window.y}) "
            f"of the world; horizon at {100 * photo.horizon.fraction:.0f} % of the height ({found}), row 0 of the world"
        )
    return lines


def _describe_work(arrangement: Arrangement, shared: Shared, studio: Studio, samples: int) -> list[str]:
    """Describe the output and estimate the time."""
    width, height = arrangement.size
    region = arrangement.region
    window = f"({region.x}, {region.y}), {region.w} x {region.h} px, of the world"
    if arrangement.halvings:
        window += f" at scale {scale_name(arrangement.halvings)}"
    many = f"{samples} pictures" if samples > 1 else "a picture"
    drawing = estimate(studio.scene, studio.plan(region), disk=0, encode_memory=0)
    lines = [
        f"{many} of {width} x {height} px: the window {window}; rendered in {drawing.seconds * samples:.0f} s or so"
    ]
    left = arrangement.photographs[len(shared.latents) :]
    if not left:
        return lines
    config, period = studio.generator.config, arrangement.period
    flops = sum(tile_flops(config, Cover.of(p.target(), config, period=period).cells) for p in left)
    longest = STEP_COST * shared.steps * flops * drawing.seconds / drawing.flops
    if shared.seconds is not None:
        longest = min(longest, shared.seconds * len(left))
    lines.append(f"inversion of {_count(len(left))} in up to {shared.steps} steps each: about {longest:.0f} s")
    return lines


def _count(count: int) -> str:
    return "1 photograph" if count == 1 else f"{count} photographs"


def _save_latents(arrangement: Arrangement, shared: Shared, *, studio: Studio, outputs: Outputs) -> list[Path]:
    """Load or invert the latents of all photographs, and save them next to the output. Returns the files."""
    files: list[Path] = []
    for i, photo in enumerate(arrangement.photographs):
        if i < len(shared.latents):
            files.append(outputs.save_latents(AnchoredLatents.load(shared.latents[i])))
            continue
        found = _invert(photo, shared, studio=studio, period=arrangement.period)
        files.append(outputs.save_latents(found.latents))
        if found.interrupted:
            again = " ".join(f"--latents {file}" for file in files)
            click.echo(
                f"interrupted: the best latents so far are kept; continue with the same command and {again}", err=True
            )
            raise KeyboardInterrupt
        for line in _describe_inversion(photo, found, files[-1]):
            shared.report(line)
    return files


def _invert(photo: Placed, shared: Shared, *, studio: Studio, period: int | None) -> Inversion:
    title = f"inverting {Path(photo.photograph.name).name}"
    with _show_steps(title, quiet=shared.quiet) as report:
        return invert_photograph(
            photo,
            studio=studio,
            settings=replace(CONTINUING, steps=shared.steps, seed=shared.seed),
            period=period,
            seconds=shared.seconds,
            progress=_Watcher(report, shared.preview, photo.photograph.profile),
        )


def _describe_inversion(photo: Placed, found: Inversion, file: Path) -> list[str]:
    drift = found.drift
    lines = [
        f"{photo.photograph.name}: {found.psnr:.1f} dB and LPIPS {found.lpips:.3f} after {found.steps} steps in "
        f"{found.seconds:.0f} s ({found.end}), kept in {file}",
        f"  drift (worlds have about 1): styles {drift.style:.2f}, z_g {drift.z_g:.2f}, z_l {drift.z_l:.2f}",
    ]
    if max(drift.style_most, drift.z_g, drift.z_l) > FAR_OFF:
        lines.append("  far from the model's distribution; if a part looks wrong, change it with infgen resample")
    return lines


class _Watcher:
    """Passes each step to ``report``, and writes its picture to ``preview`` every few seconds, with its ``profile``."""

    def __init__(self, report: Callable[[Step], None], preview: Path | None, profile: bytes | None) -> None:
        self._report, self._preview, self._profile = report, preview, profile
        self._written = -PREVIEW_SECONDS

    def __call__(self, step: Step) -> None:
        """Take one step."""
        self._report(step)
        if self._preview is None or time.monotonic() - self._written < PREVIEW_SECONDS:
            return
        with write_atomically(self._preview) as temporary:
            picture = Image.fromarray(to_pixels(step.image[None])[0].cpu().numpy())
            picture.save(temporary, "PNG", icc_profile=self._profile)
        self._written = time.monotonic()


@contextmanager
def _show_steps(title: str, *, quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Yield a callback that shows steps with their loss terms: a live bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if quiet:
        yield lambda step: None
    elif console.is_terminal:
        columns = (
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
        )
        with RichProgress(*columns, console=console) as live:
            task = live.add_task(title, total=None, terms="")
            yield lambda step: live.update(task, completed=step.step, total=step.steps, terms=_format_terms(step))
    else:
        yield _print_lines(title)


def _print_lines(title: str) -> Callable[[Step], None]:
    last = time.monotonic()

    def report(step: Step) -> None:
        nonlocal last
        if (now := time.monotonic()) - last < LINE_SECONDS:
            return
        last = now
        left = step.seconds / step.step * (step.steps - step.step)
        click.echo(
            f"{title}: step {step.step} of {step.steps}, {_format_terms(step)}, up to {left:.0f} s left", err=True
        )

    return report


def _format_terms(step: Step) -> str:
    terms = ", ".join(f"{name} {value:.3g}" for name, value in step.terms.items())
    return f"{step.psnr:.1f} dB, {terms}"

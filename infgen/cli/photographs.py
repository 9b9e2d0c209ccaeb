"""Check, describe, invert and write for ``outpaint``, ``inbetween`` and ``panorama``."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from infgen.atomic import check_output, write_atomically
from infgen.cli.photograph_options import PhotographOptions
from infgen.cli.progress import progress
from infgen.engines.base import to_pixels
from infgen.errors import InfgenError, InputError
from infgen.inversion.arrangement import Arrangement
from infgen.inversion.continuation import Joining, invert_photograph
from infgen.inversion.estimating import estimate_composing, estimate_inversion
from infgen.inversion.invert import SMALLEST_PX, check_latents
from infgen.inversion.optimise import Inversion, Step
from infgen.inversion.outputs import Outputs, draw
from infgen.inversion.placing import Placed, working_config
from infgen.inversion.run import COMPOSITION, DETAIL
from infgen.inversion.window import Cover
from infgen.lock import lock_output
from infgen.model.config import scale_name
from infgen.photo import Photograph, open_photograph
from infgen.rendering.preflight import estimate
from infgen.rendering.studio import Studio
from infgen.world.anchors import AnchoredLatents

PREVIEW_SECONDS = 5.0
LINE_SECONDS = 15.0
STAGES = {COMPOSITION: "finding the composition", DETAIL: "detail"}
WIDE_COLUMNS = 160  # of a terminal that has room for all terms of the loss
FIXED_COLUMNS = 42  # of bar, steps, time and PSNR on others
POOR_LPIPS = 0.55  # landscapes are met to about 0.2 to 0.5
FAR_OFF = 1.5  # latents with a larger drift are called far from the prior; worlds have about 1


def read_photograph(path: Path) -> Photograph:
    """Read the photograph in the file ``path``. Raises InputError for anything else."""
    return open_photograph(path, short_px=SMALLEST_PX)


def make(
    arrangement: Arrangement,
    options: PhotographOptions,
    *,
    studio: Studio,
    stem: str,
    samples: int = 1,
    notes: Sequence[str] = (),
) -> None:
    """Check, estimate, invert and render, then print the names of the files.

    ``stem``: name of the picture without -o. ``notes``: additional lines to print before the work.
    """
    outputs = options.outputs(stem, samples=samples)
    arrangement.check_size()
    outputs.check(arrangement)
    _check_latents(arrangement, options, studio)
    if not options.quiet:
        work = _describe_work(arrangement, options, studio, samples)
        for line in (*_describe_photographs(arrangement), *notes, *work):
            options.report(line)
    with lock_output(outputs.picture):
        _make_locked(arrangement, options, studio=studio, outputs=outputs)


def _make_locked(arrangement: Arrangement, options: PhotographOptions, *, studio: Studio, outputs: Outputs) -> None:
    files = _save_latents(arrangement, options, studio=studio, outputs=outputs)
    with _name_latents(files), progress("rendering", unit="pictures", quiet=options.quiet) as advance:
        written = draw(
            arrangement,
            files,
            studio=studio,
            outputs=outputs,
            seed=options.seed,
            joining=Joining(keep=options.keep_original, feather=options.feather, candidates=options.candidates),
            strip=options.strip,
            progress=advance,
        )
    for path in written:
        click.echo(path)


@contextmanager
def _name_latents(files: Sequence[Path]) -> Iterator[None]:
    """Add to errors and interrupts how to go on with the latents ``files``, without inverting again."""
    again = " ".join(f"--latents {file}" for file in files)
    try:
        yield
    except InfgenError as error:
        raise type(error)(f"{error} (the latents are kept: continue with the same command and {again})") from error
    except KeyboardInterrupt:
        click.echo(f"interrupted: the latents are kept; continue with the same command and {again}", err=True)
        raise


def _check_latents(arrangement: Arrangement, options: PhotographOptions, studio: Studio) -> None:
    """Check everything that could otherwise fail after the first inversion."""
    studio.coarser(arrangement.rendered_halvings).plan(arrangement.rendered_region)
    if options.preview is not None:
        check_output(options.preview)
    if len(options.latents) > len(arrangement.photographs):
        raise InputError(
            f"{len(options.latents)} --latents files are given for {len(arrangement.photographs)} photographs; "
            "give at most one for each, in their order"
        )
    config, period = working_config(studio.generator.config), arrangement.period
    for photo in arrangement.photographs:
        Cover.of(photo.target(), config, period=period)
    for path, photo in zip(options.latents, arrangement.photographs, strict=False):
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
            f"{name}: {image.width} x {image.height} px, inverted at {window.w} x {window.h} px from "
            f"({window.x}, {window.y}) of the world; horizon at {100 * photo.horizon.fraction:.0f} % of the height "
            f"({found}), row 0 of the world"
        )
    return lines


def _describe_work(arrangement: Arrangement, options: PhotographOptions, studio: Studio, samples: int) -> list[str]:
    """Describe the output and estimate the time."""
    width, height = arrangement.size
    region = arrangement.rendered_region
    window = f"({region.x}, {region.y}), {region.w} x {region.h} px, of the world"
    if arrangement.rendered_halvings:
        window += f" at scale {scale_name(arrangement.rendered_halvings)}"
    many = f"{samples} pictures" if samples > 1 else "a picture"
    rendering = studio.coarser(arrangement.rendered_halvings)
    drawing = estimate(rendering.scene, rendering.plan(region), disk=0, encode_memory=0)
    composing = estimate_composing(arrangement, flops_per_second=drawing.flops / drawing.seconds)
    seconds = (drawing.seconds + composing) * samples
    lines = [f"{many} of {width} x {height} px: the window {window}; about {seconds:.0f} s to render"]
    left = arrangement.photographs[len(options.latents) :]
    if not left or not options.settings.steps:
        return lines
    longest = sum(
        estimate_inversion(photo, studio.generator, options.settings, period=arrangement.period) for photo in left
    )
    if options.seconds is not None:
        longest = min(longest, options.seconds * len(left))
    lines.append(
        f"inversion of {_count(len(left))} in up to {options.settings.steps} steps each: about {longest:.0f} s"
    )
    return lines


def _count(count: int) -> str:
    return "1 photograph" if count == 1 else f"{count} photographs"


def _save_latents(
    arrangement: Arrangement, options: PhotographOptions, *, studio: Studio, outputs: Outputs
) -> list[Path]:
    """Load or invert the latents of all photographs, and save them next to the output. Returns the files."""
    files: list[Path] = []
    for i, photo in enumerate(arrangement.photographs):
        if i < len(options.latents):
            files.append(_save_somewhere(AnchoredLatents.load(options.latents[i]), outputs))
            continue
        found = _invert(photo, options, studio=studio, period=arrangement.period)
        files.append(_save_somewhere(found.latents, outputs))
        if found.interrupted:
            again = " ".join(f"--latents {file}" for file in files)
            click.echo(
                f"interrupted: the best latents so far are kept; continue with the same command and {again}", err=True
            )
            raise KeyboardInterrupt
        for line in _describe_inversion(photo, found, files[-1]):
            options.report(line)
    return files


def _save_somewhere(latents: AnchoredLatents, outputs: Outputs) -> Path:
    """Save ``latents`` next to the output; if that fails, in the temporary folder, and raise an error that names them."""
    try:
        return outputs.save_latents(latents)
    except InfgenError as error:
        kept = Outputs(Path(tempfile.mkdtemp(prefix="infgen-")) / outputs.picture.name).save_latents(latents)
        raise InfgenError(
            f"{error} (the latents are kept in {kept}: continue with the same command and --latents {kept})"
        ) from error


def _invert(photo: Placed, options: PhotographOptions, *, studio: Studio, period: int | None) -> Inversion:
    title = f"inverting {Path(photo.photograph.name).name}"
    with _show_steps(title, quiet=options.quiet) as report:
        return invert_photograph(
            photo,
            studio=studio,
            settings=options.settings,
            period=period,
            seconds=options.seconds,
            progress=_Watcher(report, options.preview, photo.photograph.profile),
        )


def _describe_inversion(photo: Placed, found: Inversion, file: Path) -> list[str]:
    drift = found.drift
    lines = [
        f"{photo.photograph.name}: {found.psnr:.1f} dB and LPIPS {found.lpips:.3f} after {found.steps} steps in "
        f"{found.seconds:.0f} s ({found.end}), kept in {file}",
        f"  drift (worlds have about 1): styles {drift.style:.2f}, z_g {drift.z_g:.2f}, z_l {drift.z_l:.2f}",
    ]
    if found.steps and found.lpips > POOR_LPIPS:
        lines.append("  far from the photograph; the model knows landscapes only, so expect a poor continuation")
    if max(drift.style_most, drift.z_g, drift.z_l) > FAR_OFF:
        lines.append("  far from the model's distribution; if a part looks wrong, change it with infgen resample")
    return lines


class _Watcher:
    """Passes each step to ``report``, and writes its picture to ``preview`` every few seconds, with its ``profile``."""

    def __init__(self, report: Callable[[Step], None], preview: Path | None, profile: bytes | None) -> None:
        self._report, self._preview, self._profile = report, preview, profile
        self._written = -PREVIEW_SECONDS

    def __call__(self, step: Step) -> None:
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
    elif console.is_terminal and not console.is_dumb_terminal:
        narrow = console.width < WIDE_COLUMNS
        shrinking = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - FIXED_COLUMNS, 9))
        columns = (
            TextColumn(
                "{task.description}: {task.fields[stage]}", markup=False, table_column=shrinking if narrow else None
            ),
            BarColumn(bar_width=10 if narrow else 40),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
        )
        with RichProgress(*columns, console=console) as live:
            task = live.add_task(title, total=None, terms="", stage=STAGES[COMPOSITION])
            yield lambda step: live.update(
                task,
                completed=step.step,
                total=step.steps,
                terms=_format_psnr(step) if narrow else _format_terms(step),
                stage=_describe_stage(step),
            )
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
            f"{title}: {_describe_stage(step)}, step {step.step} of {step.steps}, {_format_terms(step)}, "
            f"up to {left:.0f} s left",
            err=True,
        )

    return report


def _describe_stage(step: Step) -> str:
    return STAGES.get(step.stage, step.stage)


def _format_terms(step: Step) -> str:
    terms = ", ".join(f"{name} {value:.3g}" for name, value in step.terms.items())
    return f"{_format_psnr(step)}, {terms}"


def _format_psnr(step: Step) -> str:
    return f"{step.psnr:.1f} dB"

"""``infgen render``: render a region of a world to a picture."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from PIL import Image

from infgen.atomic import write_atomically
from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command
from infgen.cli.default_output import default_path
from infgen.cli.options import (
    engine_file_option,
    engine_option,
    model_option,
    parse_period,
    quiet_option,
    scale_option,
    start_options,
    tile_option,
)
from infgen.cli.progress import progress, report_lines
from infgen.cli.seeds import SEED
from infgen.cli.standard_streams import STREAM, InputPath, piped_output, send_to_stdout
from infgen.engines.onnx import PROVIDERS
from infgen.engines.tile_file import PRECISIONS
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.inputs import Read, check_outputs
from infgen.model.config import parse_scale
from infgen.rendering.batch import FIELD, MAX_WORLDS, Batch, check_pattern, file_of, folder_of
from infgen.rendering.job import Job, Output, Workers, prepare
from infgen.rendering.new_world import new_world
from infgen.rendering.output_names import picture_stem, picture_suffix
from infgen.rendering.precision import AUTO_PRECISION, PrecisionChoice
from infgen.rendering.preview import preview
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.sinks import FORMATS, Start, find_unfinished, list_outputs
from infgen.sinks.formats import MAX_OVERLAP
from infgen.world.layout import Layout, Painting
from infgen.world.layout_files import list_reads, resolve
from infgen.world.seeds import parse_seeds
from infgen.world.world import World

EXTENSIONS = ", ".join(dict.fromkeys(e for f in FORMATS for e in f.extensions))


@click.command(
    "render",
    cls=Command,
    examples=[
        ("A picture of 2048 x 1024 px", "render --w 2048 --h 1024 --seed 7 -o land.png"),
        ("Another window of the same world", "render --w 512 --h 512 --x 100000 --seed 7 -o far.png"),
        ("The estimates only, as JSON", "render --w 20000 --h 20000 -o big.tif --dry-run --json"),
        ("Several styles in one picture", "render --w 2048 --h 512 --styles layout.json -o four.png"),
        ("Into a pipe", "render --w 512 --h 256 --seed random -o - | display"),
    ],
)
@click.option(
    "-o",
    "--output",
    help=f"Picture to write. Extensions: {EXTENSIONS}. A .zarr may be a URL. -: standard output. "
    "[default: named after the content]",
)
@click.option("--w", "w", type=int, required=True, help="Width in px.")
@click.option("--h", "h", type=int, required=True, help="Height in px.")
@click.option("--x", type=int, default=0, show_default=True, help="Left edge in px, within +-2^40.")
@click.option("--y", type=int, help="Upper edge in px. The horizon is row 0. [default: half of --h above the horizon]")
@click.option("--world", "world_file", type=InputPath(), help="World file. Other options change it.")
@click.option("--seed", type=SEED, help="Seed of the world. Any 64-bit integer, or random. [default: 0]")
@click.option(
    "--seeds", metavar="LIST", help="Render one picture for each seed, such as 0-99. The name given with -o has {seed}."
)
@click.option("--styles", type=click.Path(path_type=Path), help="Layout file: several styles and their places.")
@click.option(
    "--snap/--no-snap",
    default=True,
    show_default=True,
    help="Give pixels of a painting at smoothed edges the style of the nearest colour.",
)
@click.option("--style-seed", type=int, help="Take the style from another seed.")
@click.option("--mix-seed", type=int, help="Take the texture style of this seed from row --crossover on.")
@click.option("--crossover", type=int, help="First style row of --mix-seed. Rows go from coarse to fine.")
@click.option(
    "--truncation",
    type=float,
    help="1: full variety of styles, 0: the mean style. [default: 0.7, or 1 for planet and atlas]",
)
@click.option(
    "--local-truncation",
    type=float,
    help="1: full variety of compositions; lower values are calmer. [default: 0.5, or 1 for planet and atlas]",
)
@click.option("--noise", type=float, help="Multiply the strength of the fine noise. [default: 1]")
@click.option(
    "--period", metavar="X[,Y]", help="Period in px after which the world repeats along x, and with X,Y along y, too."
)
@model_option
@click.option(
    "--format",
    "file_format",
    type=click.Choice([f.key for f in FORMATS]),
    help="File format. [default: by extension]",
)
@click.option(
    "--overlap",
    type=click.IntRange(0, MAX_OVERLAP),
    default=0,
    show_default=True,
    help="Px that neighbouring tiles share (.dzi), for viewers that show lines between tiles.",
)
@start_options
@scale_option
@tile_option
@click.option("--batch", type=int, default=1, show_default=True, help="Number of tiles computed together.")
@click.option(
    "--precision",
    type=click.Choice([*PRECISIONS, AUTO_PRECISION]),
    help="Precision of weights and activations. auto: bf16 if it is 1.3 times as fast here. [default: fp32, or that of "
    "the engine file]",
)
@engine_option
@engine_file_option
@click.option(
    "--provider",
    type=click.Choice(list(PROVIDERS)),
    help="Execution provider of ONNX Runtime. [default: that of the device]",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of CPU threads of each process.")
@click.option("--device", help="cpu, cuda, cuda:1 ..., or several: cuda:0,cuda:1. [default: a GPU if there is one]")
@click.option("--scheduler", help="Render on a running dask cluster, tcp://host:8786. The output must be .zarr.")
@click.option(
    "--preview", "preview_file", type=click.Path(path_type=Path), help="First write a small PNG of styles and picture."
)
@click.option("--dry-run", is_flag=True, help="Print only the estimates, and write the preview.")
@json_option
@quiet_option
def command(
    output: str | None,
    w: int,
    h: int,
    x: int,
    y: int | None,
    world_file: Path | None,
    seed: int | None,
    seeds: str | None,
    styles: Path | None,
    snap: bool,
    style_seed: int | None,
    mix_seed: int | None,
    crossover: int | None,
    truncation: float | None,
    local_truncation: float | None,
    noise: float | None,
    period: str | None,
    model: str | None,
    file_format: str | None,
    overlap: int,
    start: Start,
    scale: str,
    tile: int | None,
    batch: int,
    precision: PrecisionChoice | None,
    engine: str,
    engine_file: str | None,
    provider: str | None,
    threads: int | None,
    device: str | None,
    scheduler: str | None,
    preview_file: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Render the window of W x H px whose upper left corner is (X, Y).

    The same seed always gives the same endless image. Another size or position only shows another part of it. An
    interrupted render keeps its finished tiles: run it again with --resume.
    """
    region = Region(x, -(h // 2) if y is None else y, w, h)
    piped = output == STREAM
    if piped:
        _check_piped(seeds, as_json)
        output = piped_output(file_format)
    base = new_world(model) if world_file is None else World.load(world_file)
    layout, folder = (None, Path()) if styles is None else (Layout.load(styles), styles.parent)
    reads: list[Read] = [
        *(("world file", world_file), ("layout file", styles), ("model file", model), ("engine file", engine_file)),
        *(base.reads if layout is None else (*base.reads, *list_reads(layout, folder=folder))),
    ]
    check_outputs([*(() if output is None else list_outputs(output, file_format)), preview_file], reads)
    many = _parse_many(seeds, seed)
    world = base.replace(
        seed=many[0] if many else seed,
        layout=None
        if layout is None
        else resolve(layout, region, folder=folder, snap=snap, report=report_lines(quiet=quiet)),
        style_seed=style_seed,
        mix_seed=mix_seed,
        crossover=crossover,
        truncation=truncation,
        local_truncation=local_truncation,
        noise=noise,
        **parse_period(period),
    )
    devices = _devices(device, scheduler)
    if many and (len(devices) > 1 or scheduler is not None):
        raise InputError("--seeds renders on one device; omit --scheduler, and give one --device")
    first, halvings = devices[0] if devices else None, parse_scale(scale)
    options = Options(
        tile_px=tile,
        batch=batch,
        precision=precision,
        threads=threads,
        device=first,
        engine=engine,
        engine_file=engine_file,
        provider=provider,
        halvings=halvings,
    )
    region = region.coarser(halvings)
    if output is None:
        suffix = picture_suffix(region.w, region.h, "zarr" if scheduler and file_format is None else file_format)
        named = FIELD if many else world.seed
        stem = picture_stem(region, seed=named, source=styles or world_file, at_origin=x == 0 and y is None)
        output = f"{stem}{suffix}" if many else str(default_path(stem, suffix))
    target = Output(output, start=start, file_format=file_format, overlap=overlap)
    if many:
        target = replace(target, path=file_of(check_pattern(output), many[0]))
    studio = open_studio(world, model=model, options=options, report=report_lines(quiet=quiet))
    if layout is not None and not studio.generator.config.has_horizon and not quiet:
        click.echo(f"{studio.model_path.name} has no horizon: y = 0 of {styles} is a row like any other", err=True)
    with folder_of(output) if many else nullcontext():
        job = prepare(studio, region, target, workers=Workers(devices=devices, scheduler=scheduler))
        pictures = Batch(job, output, many)
        if many:
            pictures.check(reads)
    if not quiet:
        if many:
            click.echo(f"{len(many)} pictures, each:", err=True)
        click.echo(describe(job), err=True)
    if preview_file is not None:
        painting = None if layout is None else layout.painting
        _write_preview(studio, region, preview_file, painting)
    if dry_run:
        if as_json:
            print_answer(estimate=_estimate(job))
        return
    if many:
        with progress("rendering", unit="pictures", quiet=quiet) as advance:
            paths = _print_each(pictures.run(progress=advance), quiet=as_json)
        if as_json:
            print_answer(estimate=_estimate(job), result={"files": paths})
        return
    if job.finished:
        click.echo(f"{output} is finished already; --restart renders it again", err=True)
    with _report_kept_tiles(target):
        job.run(phase=lambda title: progress(title, unit="Mpx", scale=1e-6, quiet=quiet))
    if as_json:
        print_answer(estimate=_estimate(job), result={"files": [output]})
    elif piped:
        send_to_stdout(output)
    else:
        click.echo(output)


def _check_piped(seeds: str | None, as_json: bool) -> None:
    """Raise InputError for options that also need standard output."""
    for name, given in (("--seeds", seeds is not None), ("--json", as_json)):
        if given:
            raise InputError(f"-o - and {name} are both given; give one of them")


def _print_each(paths: Iterable[str | Path], *, quiet: bool) -> list[str]:
    """Print each path when its picture is complete, unless ``quiet``. Returns all of them."""
    found = []
    for path in paths:
        found.append(str(path))
        if not quiet:
            click.echo(path)
    return found


def _estimate(job: Job) -> dict[str, Any]:
    """Return the estimates as plain JSON values."""
    region, found = job.plan.region, asdict(job.preflight)
    window = {"x": region.x, "y": region.y, "w": region.w, "h": region.h}
    return {"window": window, **found, "engine": job.studio.scene.engine.name}


def _parse_many(seeds: str | None, seed: int | None) -> tuple[int, ...]:
    """Parse --seeds. Returns none without it."""
    if seeds is not None and seed is not None:
        raise InputError("--seed and --seeds are both given; give one of them")
    return () if seeds is None else tuple(parse_seeds(seeds, most=MAX_WORLDS))


def _devices(device: str | None, scheduler: str | None) -> tuple[str, ...]:
    devices = tuple(part.strip() for part in device.split(",")) if device else ()
    if len(devices) > 1 and scheduler is not None:
        raise InputError(
            f"--device {device} and --scheduler are both given; omit --device, because workers have their own devices"
        )
    return devices


def _write_preview(studio: Studio, region: Region, path: Path, painting: Painting | None) -> None:
    named = {} if painting is None else {style: colour for colour, style in painting.colours.items()}
    with write_atomically(path) as temporary:
        Image.fromarray(preview(studio, region, named=named)).save(temporary, "PNG")
    click.echo(path)


@contextmanager
def _report_kept_tiles(output: Output) -> Iterator[None]:
    """Print the number of kept tiles if the render fails or is interrupted."""
    try:
        yield
    except BaseException:
        kept = find_unfinished(output.path, output.file_format)
        if kept is not None and kept[0]:
            click.echo(f"{kept[0]} of {kept[1]} tiles are kept: run the same command with --resume", err=True)
        raise


def describe(job: Job) -> str:
    """Describe the picture and the estimates of the job in two lines."""
    estimate, region = job.preflight, job.plan.region
    height, width = estimate.tile_px
    return (
        f"{region.w} x {region.h} px at ({region.x}, {region.y}): {estimate.pixels / 1e6:.2f} Mpx in {estimate.tiles} tiles "
        f"of {width} x {height} px, batches of {estimate.batch}, engine {job.studio.scene.engine.name}\n"
        f"about {estimate.seconds:.0f} s, {estimate.memory / 2**20:.0f} MiB of memory, "
        f"up to {estimate.disk / 2**20:.0f} MiB of disk during the render"
    )

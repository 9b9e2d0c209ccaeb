"""``infgen styles``: render a contact sheet of styles to choose from."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import click

from infgen.cli.command import Command
from infgen.cli.default_output import default_path
from infgen.cli.options import device_option, model_option, precision_option, quiet_option, threads_option
from infgen.cli.progress import progress
from infgen.cli.seeds import SEED
from infgen.engines.eager import Precision
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.inputs import check_outputs
from infgen.model.config import SCALE_NAMES, parse_scale
from infgen.perceptual import MIN_PX
from infgen.photo import open_photograph
from infgen.rendering.likeness import Match, fit_photograph, nearest_styles, view_halvings
from infgen.rendering.new_world import new_world
from infgen.rendering.output_names import source_stem
from infgen.rendering.sheet import Sheet, check_sheet, draw_sheet, save_sheet
from infgen.rendering.studio import Options, open_studio
from infgen.world.seeds import parse_seeds
from infgen.world.world import World

MAX_SEEDS = 1024
NEAREST = 23  # styles on a sheet of --like, next to the photograph


@click.command(
    "styles",
    cls=Command,
    examples=[
        ("Sixty-four styles", "styles -o sheet.png"),
        ("The styles nearest to a photograph", "styles --like photo.jpg -o near.png"),
        ("Structures against styles", "styles --world-seeds 0-3 --style-seeds 0-7 -o grid.png"),
    ],
    renamed={"--seeds": "--style-seeds", "--world-seed": "--seed"},
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Sheet to write: .png or .jpg. [default: a PNG of these seeds]",
)
@click.option(
    "--style-seeds",
    "seeds",
    help="Style seeds, such as 1,5,9-12 or -5--2. [default: 0-63, 0-7 for a grid, 0-255 with --like]",
)
@model_option
@click.option("--seed", "world_seed", type=SEED, help="Seed of the world. [default: 0]")
@click.option(
    "--world-seeds", help="Make a grid: a row for each of these worlds (structures), a column for each style."
)
@click.option(
    "--like", type=click.Path(path_type=Path), help="Show the styles nearest to this photograph, nearest first."
)
@click.option(
    "--truncation",
    type=float,
    help="1: full variety of styles, 0: the mean style. [default: 0.7, or 1 for planet and atlas]",
)
@click.option("--w", "w", type=int, default=256, show_default=True, help="Width of each picture in px.")
@click.option("--h", "h", type=int, default=192, show_default=True, help="Height of each picture in px.")
@click.option(
    "--scale",
    type=click.Choice(SCALE_NAMES[:4]),
    help="Render at this share of the size. [default: 1; with --like, the scale at which --h is a whole view]",
)
@click.option("--columns", type=click.IntRange(min=1), help="Pictures in a row. [default: 8; in a grid, one per style]")
@precision_option
@threads_option
@device_option
@quiet_option
def command(
    output: Path | None,
    seeds: str | None,
    model: str | None,
    world_seed: int | None,
    world_seeds: str | None,
    like: Path | None,
    truncation: float | None,
    w: int,
    h: int,
    scale: str | None,
    columns: int | None,
    precision: Precision,
    threads: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Render the same place in many styles, each with its seed, to choose seeds for --style-seed and layouts.

    --world-seeds renders the paper's grid of structure against style. --like sorts styles by their distance to a
    photograph. The distance is a difference of feature statistics; smaller is nearer.
    """
    check_outputs([output], [("model file", model), ("photograph", like)])
    if world_seeds is not None and (world_seed is not None or like is not None or columns is not None):
        raise InputError("--world-seeds has its own worlds and columns; omit --seed, --like and --columns")
    styles = parse_seeds(seeds or ("0-255" if like else "0-7" if world_seeds else "0-63"), most=MAX_SEEDS)
    places = [world_seed or 0] if world_seeds is None else parse_seeds(world_seeds, most=MAX_SEEDS)
    if len(places) * len(styles) > MAX_SEEDS:
        raise LimitError(
            f"{len(places)} worlds in {len(styles)} styles are more than {MAX_SEEDS} pictures; give fewer seeds"
        )
    start = new_world(model)
    worlds = [
        start.replace(seed=place, truncation=truncation, style_seed=style) for place in places for style in styles
    ]
    options = Options(precision=precision, threads=threads, device=device, halvings=parse_scale(scale or "1"))
    request = SheetRequest(
        output, w=w, h=h, columns=columns or (8 if world_seeds is None else len(styles)), options=options, quiet=quiet
    )
    if like is None:
        _draw_worlds(request, worlds, model=model, grid=len(places) > 1)
    else:
        _draw_likeness(request, worlds, like, model=model, choose_scale=scale is None)


@dataclass(frozen=True)
class SheetRequest:
    """A sheet to draw: its file (None: the default name), size of a picture in px, columns, and rendering options."""

    output: Path | None
    _: KW_ONLY
    w: int
    h: int
    columns: int
    options: Options
    quiet: bool

    def target(self, stem: str, count: int, region: Region) -> tuple[Path, Sheet]:
        """Return the file and the sheet of ``count`` pictures. Raises InputError if it cannot be written."""
        sheet = Sheet(count, self.columns, w=region.w, h=region.h)
        path = default_path(stem, ".png") if self.output is None else self.output
        check_sheet(path, sheet)
        return path, sheet


def _draw_worlds(request: SheetRequest, worlds: Sequence[World], *, model: str | None, grid: bool) -> None:
    region = Region(-(request.w // 2), -(request.h // 2), request.w, request.h).coarser(request.options.halvings)
    stem = f"styles-{worlds[0].style_seed}-to-{worlds[-1].style_seed}"
    if grid:
        stem += f"-worlds-{worlds[0].seed}-to-{worlds[-1].seed}"
    path, sheet = request.target(stem, len(worlds), region)
    studio = open_studio(worlds[0], model=model, options=request.options)
    labels = (f"world {world.seed}, style {world.style_seed}" if grid else str(world.style_seed) for world in worlds)
    pictures = zip(labels, studio.pictures(worlds, region), strict=True)
    with progress("rendering", unit="pictures" if grid else "styles", quiet=request.quiet) as advance:
        image = draw_sheet(sheet, pictures, progress=advance)
    save_sheet(image, path)
    click.echo(path)


def _draw_likeness(
    request: SheetRequest, worlds: Sequence[World], like: Path, *, model: str | None, choose_scale: bool
) -> None:
    size = request.w, request.h
    region = Region(-(request.w // 2), -(request.h // 2), *size)  # px of the scale
    count = min(NEAREST, len(worlds))
    path, sheet = request.target(f"styles-like-{source_stem(like)}", count + 1, region)
    photograph = fit_photograph(open_photograph(like, short_px=MIN_PX), size)
    studio = open_studio(worlds[0], model=model, options=request.options)
    if choose_scale:
        studio = studio.coarser(view_halvings(studio.generator.config, request.h))
    with progress("comparing", unit="styles", quiet=request.quiet) as advance:
        found = nearest_styles(studio, region, photograph, worlds=worlds, most=count, progress=advance)
    labelled = [(match_label(match), match.picture) for match in found]
    save_sheet(draw_sheet(sheet, [(like.name, photograph), *labelled]), path)
    if not request.quiet:
        click.echo(f"nearest style: --style-seed {found[0].seed}, distance {found[0].distance:.4f}", err=True)
    click.echo(path)


def match_label(match: Match) -> str:
    """Format seed and distance of a match."""
    return f"{match.seed}, distance {match.distance:.4f}"

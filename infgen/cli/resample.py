"""``infgen resample``: render a region of a world again from another seed, or undo that."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import click

from infgen.atomic import check_output
from infgen.cli.command import Command
from infgen.cli.options import MODEL_VARIABLE, MODELS_HELP, quiet_option
from infgen.cli.seeds import SEED
from infgen.errors import InputError
from infgen.geometry import STRUCTURE_HALO, TEXTURE_HALO, Region, cell_px
from infgen.inputs import check_outputs
from infgen.lock import lock_output
from infgen.model.checkpoint import resolve
from infgen.model.generator import Generator
from infgen.model.shipped import DEFAULT
from infgen.rendering.palette import check_world
from infgen.world.edits import FIELDS, Edit, FieldName
from infgen.world.world import World
from infgen.world.world_fields import Sizes

_REGION = re.compile(r"\s*(-?[0-9]{1,15})\s*,\s*(-?[0-9]{1,15})\s*,\s*([0-9]{1,15})\s*,\s*([0-9]{1,15})\s*")


@click.command(
    "resample",
    cls=Command,
    renamed={"--like": "--like-region"},
    examples=[
        ("Another seed for a region", "resample world.json --region 0,-64,256,128"),
        ("Undo the last edit", "resample world.json --undo"),
    ],
)
@click.argument("world_file", metavar="WORLD", type=click.Path(path_type=Path))
@click.option("--region", help="Region to change: X,Y,W,H in px, such as 0,-64,256,128.")
@click.option("--seed", type=SEED, help="Seed of the new latents and noises. [default: a random one, which is printed]")
@click.option("--fields", help="local: places of things, noise: fine irregularity. [default: local,noise]")
@click.option(
    "--like-region",
    "like",
    help="Take mean and standard deviation of the latents from this region X,Y,W,H of the same world.",
)
@click.option("--undo", is_flag=True, help="Remove the last edit instead.")
@click.option(
    "--model",
    envvar=MODEL_VARIABLE,
    help=f"Model: {MODELS_HELP}. [default: sizes from the anchors, or {DEFAULT}]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="World file to write. [default: WORLD itself]")
@quiet_option
def command(
    world_file: Path,
    region: str | None,
    seed: int | None,
    fields: str | None,
    like: str | None,
    undo: bool,
    model: str | None,
    output: Path | None,
    quiet: bool,
) -> None:
    """Change a region of the world in the file WORLD: take its latents from another seed.

    Pixels beyond the reach of the network stay the same. Each call adds one edit to the world file, and --undo removes
    the last one. With another output, the files of anchors are copied next to it.
    """
    target = world_file if output is None else output
    check_output(target)
    given = {"--region": region, "--seed": seed, "--fields": fields, "--like-region": like}
    if undo and (extra := [name for name, value in given.items() if value is not None]):
        raise InputError(f"--undo and {extra[0]} are both given; give one of them")
    with lock_output(target):  # two calls at once would lose one of the edits
        world = World.load(world_file)
        check_outputs([target], [*world.reads, ("model file", model)])  # WORLD itself may be replaced
        if undo:
            changed, message = world.without_last_edit(), f"undone: {_describe_last(world.edits)}"
        else:
            sizes = _sizes(world, model)
            changed = _resample(world, region, seed=seed, fields=fields, like=like, sizes=sizes)
            message = f"{_describe_last(changed.edits)}; {_describe_reach(changed.edits[-1], sizes)}"
        changed.save(target)
    if not quiet:
        click.echo(message, err=True)
    click.echo(target)


def _resample(
    world: World, region: str | None, *, seed: int | None, fields: str | None, like: str | None, sizes: Sizes
) -> World:
    if region is None:
        raise InputError("nothing to do; give --region X,Y,W,H to change a region, or --undo")
    return world.resample(
        parse_region(region, "--region"),
        seed=secrets.randbits(63) if seed is None else seed,
        sizes=sizes,
        fields=FIELDS if fields is None else parse_fields(fields),
        like=None if like is None else parse_region(like, "--like-region"),
    )


def parse_region(text: str, option: str) -> Region:
    """Parse the region "X,Y,W,H" in px.

    Raises InputError for anything else, with the name of ``option``, and LimitError for positions beyond +-2^40.
    """
    match = _REGION.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {text[:60]!r} is not a region; give X,Y,W,H in whole px, such as 0,-64,256,128")
    return Region(*(int(number) for number in match.groups()))


def parse_fields(text: str) -> tuple[FieldName, ...]:
    """Parse the names of fields, separated by commas. Raises InputError for an unknown one."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FIELDS:
            raise InputError(f"--fields names {name[:40]!r}; allowed are {', '.join(FIELDS)}")
    return tuple(field for field in FIELDS if field in names)


def _sizes(world: World, model: str | None) -> Sizes:
    """Return cell size and channels of ``model``, else of the world's anchors, else of the shipped model."""
    if model is None and world.anchors:
        return world.placed_anchors[0].latents
    config = Generator.from_pretrained(resolve(model)).config
    check_world(world, config)
    return config


def _describe_reach(edit: Edit, sizes: Sizes) -> str:
    """Say which pixels an edit can change: the network reaches beyond the region itself."""
    cells = TEXTURE_HALO + (STRUCTURE_HALO if "local" in edit.fields else 0)
    reach = cells * cell_px(sizes.world_levels)
    left, top, right, bottom = edit.x - reach, edit.y - reach, edit.x + edit.w + reach, edit.y + edit.h + reach
    return f"changes pixels up to {reach} px around it, from ({left}, {top}) to ({right - 1}, {bottom - 1})"


def _describe_last(edits: Sequence[Edit]) -> str:
    last = edits[-1]
    return f"edit {len(edits)}: {last.w} x {last.h} px at ({last.x}, {last.y}), {' and '.join(last.fields)}, seed {last.seed}"

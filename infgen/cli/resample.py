"""``infgen resample``: draw a part of a world again, or take that back."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import click

from infgen.atomic import check_output
from infgen.errors import InputError
from infgen.model.checkpoint import SHIPPED, load
from infgen.rendering.plan import Region
from infgen.world.edits import FIELDS, Edit, FieldName
from infgen.world.styles import check_world
from infgen.world.world import World
from infgen.world.world_fields import Sizes

_REGION = re.compile(r"\s*(-?[0-9]{1,15})\s*,\s*(-?[0-9]{1,15})\s*,\s*([0-9]{1,15})\s*,\s*([0-9]{1,15})\s*")


@click.command("resample")
@click.argument("world_file", metavar="WORLD", type=click.Path(path_type=Path))
@click.option("--region", help="What is drawn again: X,Y,W,H in px, such as 0,-64,256,128.")
@click.option("--seed", type=int, help="Any 64-bit integer. [default: drawn at random, and printed]")
@click.option("--fields", help="local (what is there), noise (its grain). [default: local,noise]")
@click.option("--like", help="Take mean and spread of the latents from this region X,Y,W,H of the same world.")
@click.option("--undo", is_flag=True, help="Take the last edit back instead.")
@click.option("--model", help="Model file or Hugging Face hub id. [default: the anchors' sizes, or the shipped model]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="World file to write. [default: WORLD itself]")
def command(
    world_file: Path,
    region: str | None,
    seed: int | None,
    fields: str | None,
    like: str | None,
    undo: bool,
    model: str | None,
    output: Path | None,
) -> None:
    """Draw a region of the world in the file WORLD again, from another seed.

    What lies farther from it than the network reaches stays as it is. Each call adds one edit to the world file; --undo removes
    the last one. Anchors' files are copied beside another output.
    """
    target = world_file if output is None else output
    world = World.load(world_file)
    check_output(target)
    if undo:
        given = {"--region": region, "--seed": seed, "--fields": fields, "--like": like, "--model": model}
        if extra := [name for name, value in given.items() if value is not None]:
            raise InputError(f"--undo and {extra[0]} are both given; give one of them")
        changed, said = world.without_last_edit(), f"undone: {_words(world.edits)}"
    else:
        if region is None:
            raise InputError("nothing to do; give --region X,Y,W,H to draw a part again, or --undo")
        changed = world.resampled(
            parse_region(region, "--region"),
            seed=secrets.randbits(63) if seed is None else seed,
            sizes=_sizes(world, model),
            fields=FIELDS if fields is None else parse_fields(fields),
            like=None if like is None else parse_region(like, "--like"),
        )
        said = _words(changed.edits)
    changed.save(target)
    click.echo(said, err=True)
    click.echo(target)


def parse_region(text: str, option: str) -> Region:
    """The region "X,Y,W,H" in px. Raises InputError, naming ``option``, for anything else, LimitError off the canvas."""
    match = _REGION.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {text[:60]!r} is no region; give X,Y,W,H in whole px, such as 0,-64,256,128")
    return Region(*(int(number) for number in match.groups()))


def parse_fields(text: str) -> tuple[FieldName, ...]:
    """The fields that ``text`` names, separated by commas. Raises InputError for an unknown one."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FIELDS:
            raise InputError(f"--fields names {name[:40]!r}; allowed are {', '.join(FIELDS)}")
    return tuple(field for field in FIELDS if field in names)


def _sizes(world: World, model: str | None) -> Sizes:
    """Cell size and channels: of ``model``, else of the world's anchors, else of the shipped model."""
    if model is None and world.anchors:
        return world.placed_anchors[0].latents
    config = load(SHIPPED if model is None else model).config
    check_world(world, config)
    return config


def _words(edits: Sequence[Edit]) -> str:
    last = edits[-1]
    return f"edit {len(edits)}: {last.w} x {last.h} px at ({last.x}, {last.y}), {' and '.join(last.fields)}, seed {last.seed}"

"""``infgen video``: move a camera over a world."""

from pathlib import Path

import click

from infgen.cli.command import Command
from infgen.cli.default_output import default_path
from infgen.cli.options import (
    device_option,
    model_option,
    precision_option,
    quiet_option,
    start_options,
    threads_option,
)
from infgen.cli.progress import progress
from infgen.cli.seeds import SEED
from infgen.cli.standard_streams import InputPath
from infgen.engines.eager import Precision
from infgen.inputs import check_outputs
from infgen.rendering.camera import Camera, parse_point, parse_zoom
from infgen.rendering.new_world import new_world
from infgen.rendering.output_names import source_stem
from infgen.rendering.studio import Options, open_studio
from infgen.rendering.video import Video, check_video, render_video
from infgen.sinks import Start
from infgen.world.world import World


@click.command(
    "video",
    cls=Command,
    examples=[
        ("Ten seconds along the horizon", "video --to 4800,0 -o pan.mp4"),
        ("Zoom out", "video --to 2000,0 --zoom 1:0.25 --seconds 5 -o zoom.gif"),
    ],
)
@click.argument("world_file", metavar="[WORLD]", required=False, type=InputPath())
@click.option("--from", "first", default="0,0", show_default=True, help="X,Y in px: middle of the first frame.")
@click.option("--via", multiple=True, help="X,Y in px: a point on the way; repeat it for several.")
@click.option("--to", "last", required=True, help="X,Y in px: middle of the last frame.")
@click.option(
    "--zoom", default="1", show_default=True, help="Screen px per world px, or a change such as 1:0.25 (zoom out)."
)
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Length of the video.")
@click.option("--fps", type=int, default=30, show_default=True, help="Frames per second.")
@click.option("--w", "w", type=int, default=1280, show_default=True, help="Width in px.")
@click.option("--h", "h", type=int, default=720, show_default=True, help="Height in px.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Video to write: .mp4, .webm, .webp or .gif. [default: an MP4 named after the world]",
)
@click.option("--seed", type=SEED, help="Seed of the world. [default: that of WORLD, or 0]")
@model_option
@start_options
@precision_option
@threads_option
@device_option
@quiet_option
def command(
    world_file: Path | None,
    first: str,
    via: tuple[str, ...],
    last: str,
    zoom: str,
    seconds: float,
    fps: int,
    w: int,
    h: int,
    output: Path | None,
    seed: int | None,
    model: str | None,
    start: Start,
    precision: Precision,
    threads: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Move a camera over the world in the file WORLD, from one point to another.

    The camera starts and stops smoothly. --via leads it along a curve. The world has the same pixels in every frame.
    """
    points = [parse_point(first, "--from"), *(parse_point(text, "--via") for text in via), parse_point(last, "--to")]
    video = Video(Camera(tuple(points), parse_zoom(zoom)), seconds=seconds, fps=fps, w=w, h=h)
    world = (new_world(model) if world_file is None else World.load(world_file)).replace(seed=seed)
    if output is None:
        stem = "world" if world_file is None else source_stem(world_file)
        output = default_path(f"{stem}-{w}x{h}-seed{world.seed}", ".mp4")
    check_outputs([output], [("world file", world_file), ("model file", model), *world.reads])
    check_video(video, output, start=start)
    options = Options(precision=precision, threads=threads, device=device)
    studio = open_studio(world, model=model, options=options)
    if not quiet:
        click.echo(f"{video.frames} frames of {w} x {h} px, {seconds:g} s", err=True)
    render_video(studio, video, output, start=start, phase=lambda title: progress(title, unit="frames", quiet=quiet))
    click.echo(output)

"""``infgen eval``: measure the quality of a model's pictures."""

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from rich.console import Console

from infgen.cli.options import device_option, precision_option, quiet_option, threads_option
from infgen.cli.progress import progress
from infgen.engines import pick_device
from infgen.engines.eager import Precision
from infgen.errors import InputError
from infgen.inputs import Read, check_outputs
from infgen.model.checkpoint import file_hash, resolve
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.sources import list_places
from infgen.train.evaluation import (
    Other,
    Request,
    WeightFiles,
    evaluate,
    metrics_named,
    open_photographs,
    report_tables,
    write_report,
)
from infgen.train.evaluation.metrics import METRICS
from infgen.train.evaluation.report_files import FILES, check_folder
from infgen.train.evaluation.request import DEFAULT_METRICS, DEFAULT_SCALES

FILE_COLUMNS = 200  # width of tables in files; a terminal has its own width


def _numbers(text: str, what: str) -> tuple[int, ...]:
    """Parse whole numbers separated by commas. Sorts them and drops duplicates. Raises InputError for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= 6 for word in words):
        raise InputError(f"{what} {text!r} are not whole numbers separated by commas; give for example 1,2,4")
    return tuple(sorted({int(word) for word in words}))


def _other(model: str | None, *, device: torch.device) -> Other | None:
    """Load the model to compare with, if there is one."""
    if model is None:
        return None
    path = resolve(model)
    return Other(Generator.from_pretrained(path, device=device), path.name, file_hash(path))


def _read(data: str, scales: Sequence[Scale], *, quiet: bool) -> tuple[PhotoSet, ...]:
    """Read the photographs for each scale. Prints the skipped files and the counts."""
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        sets, skipped = open_photographs(data, scales, progress=reading)
    for skip in skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    for photos in () if quiet else sets:
        click.echo(f"{len(photos)} photographs with views of {photos.view_px} px", err=True)
    return sets


@click.command("eval", epilog="Metrics: " + ", ".join(m.name for m in METRICS))
@click.argument("model")
@click.argument("data")
@click.option("--metrics", default=",".join(DEFAULT_METRICS), show_default=True, help="Metrics, separated by commas.")
@click.option(
    "--scales",
    default=",".join(map(str, DEFAULT_SCALES)),
    show_default=True,
    help="Scales of the ScaleInv distances. Work grows with their squares, except for models with scales.",
)
@click.option("--compare", help="Add a column with the distances of this other model.")
@click.option("--floor", is_flag=True, help="Add a column: one half of the photographs against the other half.")
@click.option("--fused", help="Add columns for worlds of this many styles side by side, such as 1,2,4.")
@click.option("--n", type=int, default=1000, show_default=True, help="Pictures on each side of a distance.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the generated pictures."
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write report.json and report.png to this folder.")
@click.option("--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file. [default: torchvision's cache]")
@click.option("--inception-weights", type=click.Path(path_type=Path), help="Inception file. [default: PyTorch's cache]")
@device_option
@precision_option
@threads_option
@quiet_option
def command(
    model: str,
    data: str,
    metrics: str,
    scales: str,
    compare: str | None,
    floor: bool,
    fused: str | None,
    n: int,
    seed: int,
    out: Path | None,
    vgg_weights: Path | None,
    inception_weights: Path | None,
    device: str | None,
    precision: Precision,
    threads: int | None,
    quiet: bool,
) -> None:
    """Compare pictures of MODEL with photographs in DATA, at every scale of MODEL. DATA is as for infgen train.

    fid, kid and is need the standard Inception network (pip install 'infgen[fid]'). fd-vgg and fd-effnet are Frechet
    distances of other networks; do not compare them with published FIDs. The prefix scaleinv- shrinks larger pictures
    to the size of a patch; for a MODEL with scales these are windows of one view and more. The prefix inf- cuts patches
    from wide strips.
    """
    names = [name for word in metrics.split(",") if (name := word.strip())]
    request = Request(
        metrics_named(names),
        scales=_numbers(scales, "scales"),
        n=n,
        seed=seed,
        precision=precision,
        fused=() if fused is None else _numbers(fused, "numbers of styles"),
        floor=floor,
    )
    if out is not None:
        check_folder(out)
        files: list[Read] = [("model file", model), ("model file", compare)]
        files += [("weights", vgg_weights), ("weights", inception_weights)]
        check_outputs([out / name for name in FILES], files, data=list_places(data))
    if threads is not None:
        torch.set_num_threads(threads)
    path, chosen = resolve(model), pick_device(device)
    generator, other = Generator.from_pretrained(path, device=chosen), _other(compare, device=chosen)
    request.check(generator.config)
    if not quiet:
        work = request.pixels(generator.config, other=None if other is None else other.generator.config) / 1e6
        click.echo(f"N = {n}, the distances need {work:.1f} Mpx of generated pictures", err=True)
    report = evaluate(
        generator,
        _read(data, judged_scales(generator.config), quiet=quiet),
        request=request,
        files=WeightFiles(vgg_weights, inception_weights),
        model=path.name,
        model_hash=file_hash(path),
        other=other,
        phase=lambda title: progress(title, unit="pictures", quiet=quiet),
    )
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_COLUMNS)
    console.print(*report_tables(report), sep="\n")
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    if out is not None:
        for file in write_report(report, out):
            click.echo(file)

"""``infgen eval``: model and photographs -> how good the pictures are."""

from pathlib import Path

import click
import torch
from rich.console import Console

from infgen.cli.progress import progress
from infgen.engines import pick_device
from infgen.engines.eager import DTYPES, Precision
from infgen.errors import InputError
from infgen.model.checkpoint import file_hash, load, resolve
from infgen.train.data import PhotoSet
from infgen.train.evaluation import Request, WeightFiles, evaluate, metrics_named
from infgen.train.evaluation.metrics import METRICS
from infgen.train.evaluation.report import check_folder
from infgen.train.evaluation.run import DEFAULT_METRICS, DEFAULT_SCALES
from infgen.train.presets import VIEW_CELLS
from infgen.world import geometry


def _numbers(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas, each once, in rising order."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= 6 for word in words):
        raise InputError(f"scales {text!r} are not whole numbers separated by commas; give for example 1,2,4,8")
    return tuple(sorted({int(word) for word in words}))


@click.command("eval", epilog="Metrics: " + ", ".join(m.name for m in METRICS))
@click.argument("model")
@click.argument("data")
@click.option("--metrics", default=",".join(DEFAULT_METRICS), show_default=True, help="Names, separated by commas.")
@click.option(
    "--scales",
    default=",".join(map(str, DEFAULT_SCALES)),
    show_default=True,
    help="Of the ScaleInv distances. Work grows with their squares.",
)
@click.option("--n", type=int, default=1000, show_default=True, help="Pictures on each side of a distance.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for report.json and report.png.")
@click.option("--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file. [default: torchvision's cache]")
@click.option("--inception-weights", type=click.Path(path_type=Path), help="Inception file. [default: PyTorch's cache]")
@click.option("--device", help="cpu, cuda, cuda:1 ... [default: a GPU where there is one]")
@click.option(
    "--precision", type=click.Choice(list(DTYPES)), default="fp32", show_default=True, help="Of the generator."
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--quiet", is_flag=True, help="No estimates, no progress.")
def command(
    model: str,
    data: str,
    metrics: str,
    scales: str,
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
    """Compare pictures of MODEL with photographs in DATA, as for infgen train.

    fid, kid and is need the standard Inception network (pip install 'infgen[fid]'); fd-vgg and fd-effnet are other networks'
    Frechet distances and cannot be compared with published FIDs. A prefix scaleinv- shrinks larger and larger pictures to
    the size of a patch; inf- cuts patches from wide strips.
    """
    names = [name for word in metrics.split(",") if (name := word.strip())]
    request = Request(metrics_named(names), scales=_numbers(scales), n=n, seed=seed, precision=precision)
    if out is not None:
        check_folder(out)
    if threads is not None:
        torch.set_num_threads(threads)
    path = resolve(model)
    generator = load(path, device=pick_device(device))
    patch_px = generator.config.patch_px
    request.check(patch_px)
    view_px = geometry.tile_px(VIEW_CELLS, levels=generator.config.levels)
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        photos, skipped = PhotoSet.open(data, view_px=view_px, patch_px=patch_px, progress=reading)
    for skip in skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    if not quiet:
        work = request.pixels(patch_px) / 1e6
        click.echo(f"{len(photos)} photographs, N = {n}, distances need {work:.1f} Mpx drawn", err=True)
    report = evaluate(
        generator,
        photos,
        request=request,
        files=WeightFiles(vgg_weights, inception_weights),
        model=path.name,
        model_hash=file_hash(path),
        phase=lambda title: progress(title, unit="pictures", quiet=quiet),
    )
    Console().print(report.table())
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    if out is not None:
        for file in report.write(out):
            click.echo(file)

"""``infgen eval``: measure the quality of a model's pictures."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import click
import torch
from rich.console import Console

from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command, Group
from infgen.cli.eval_outpaint import command as outpaint
from infgen.cli.options import MODELS_HELP, device_option, precision_option, quiet_option, threads_option
from infgen.cli.progress import progress
from infgen.cli.seeds import SEED
from infgen.engines import pick_device
from infgen.engines.eager import Precision
from infgen.errors import InputError
from infgen.inputs import Read, check_outputs
from infgen.model.checkpoint import file_hash, resolve
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.progress import Phase, Progress
from infgen.train.data.photo_set import PhotoSet
from infgen.train.data.sources import list_places
from infgen.train.evaluation import (
    Other,
    Report,
    Request,
    WeightFiles,
    evaluate,
    metrics_named,
    open_photographs,
    report_tables,
    write_report,
)
from infgen.train.evaluation.dump import Dump
from infgen.train.evaluation.images import evaluate_images
from infgen.train.evaluation.metrics import METRICS
from infgen.train.evaluation.real import Photos
from infgen.train.evaluation.report_files import FILES, check_folder
from infgen.train.evaluation.request import DEFAULT_METRICS, DEFAULT_SCALES, Protocol
from infgen.train.evaluation.whole_views import WholeViews, open_whole_views

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
    return Other(Generator.from_pretrained(path, device=device), path.name, sha256=file_hash(path))


def _read_whole_views(data: str, *, quiet: bool) -> WholeViews:
    """Read the photographs for the paper's protocol. Prints the skipped files and the count."""
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        photos, skipped = open_whole_views(data, progress=reading)
    for skip in skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    if not quiet:
        click.echo(f"{len(photos)} photographs with views of {photos.view_px} px", err=True)
    return photos


def _read(data: str, scales: Sequence[Scale], *, quiet: bool) -> tuple[PhotoSet, ...]:
    """Read the photographs for each scale. Prints the skipped files and the counts."""
    with progress("reading photographs", unit="photographs", quiet=quiet) as reading:
        sets, skipped = open_photographs(data, scales, progress=reading)
    for skip in skipped:
        click.echo(f"skipped {skip.name}: {skip.reason}", err=True)
    for photos in () if quiet else sets:
        click.echo(f"{len(photos)} photographs with views of {photos.view_px} px", err=True)
    return sets


def _join_names(*, inception: bool) -> str:
    """List the metrics that use the standard Inception network, or all others."""
    return ", ".join(metric.name for metric in METRICS if (metric.network == "inception") == inception)


@click.command(
    "eval",
    cls=Command,
    examples=[
        ("A model on the photographs that it was not trained on", "eval runs/mine/model.safetensors held-out/"),
        ("With a report as JSON and a figure", "eval runs/mine/model.safetensors held-out/ -o report"),
        ("A folder of pictures of any origin", "eval --images pictures/ held-out/"),
    ],
    renamed={"--out": "--output"},
    epilog=f"Metrics of the Inception network: {_join_names(inception=True)}. "
    f"Other metrics: {_join_names(inception=False)}. Models: {MODELS_HELP}. See also: infgen eval outpaint --help",
)
@click.argument("places", nargs=-1, metavar="[MODEL] DATA")
@click.option("--images", help="Measure the pictures in this folder instead of a MODEL's, in the paper's protocol.")
@click.option("--dump", type=click.Path(path_type=Path), help="Write the measured pictures to this empty folder.")
@click.option(
    "--protocol",
    type=click.Choice(get_args(Protocol)),
    default="patches",
    show_default=True,
    help="Compare training patches, or whole views of 128 px as the paper does.",
)
@click.option(
    "--metrics",
    help=f"Metrics, separated by commas. [default: {','.join(DEFAULT_METRICS)}; with --images {DEFAULT_METRICS[0]}]",
)
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
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the generated pictures.")
@json_option
@click.option(
    "-o", "--output", "out", type=click.Path(path_type=Path), help="Write report.json and report.png to this folder."
)
@click.option("--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file. [default: PyTorch's cache]")
@click.option("--inception-weights", type=click.Path(path_type=Path), help="Inception file. [default: PyTorch's cache]")
@device_option
@precision_option
@threads_option
@quiet_option
def measure(
    places: tuple[str, ...],
    images: str | None,
    dump: Path | None,
    protocol: Protocol,
    metrics: str | None,
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
    as_json: bool,
) -> None:
    """Compare pictures of MODEL with photographs in DATA, at every scale of MODEL. DATA is as for infgen train.

    fid, kid and is need the standard Inception network (pip install 'infgen[fid]'). fd-vgg and fd-effnet are Frechet
    distances of other networks; do not compare them with published FIDs. The prefix scaleinv- shrinks larger pictures
    to the size of a patch; for a MODEL with scales these are windows of one view and more. The prefix inf- cuts patches
    from wide strips, inf-fused- from strips of several styles. --protocol paper compares whole views at all scales.
    """
    model, data = _model_and_data(places, images=images)
    chosen_metrics = metrics or (",".join(DEFAULT_METRICS) if images is None else DEFAULT_METRICS[0])
    request = Request(
        metrics_named([name for word in chosen_metrics.split(",") if (name := word.strip())]),
        scales=_numbers(scales, "scales"),
        n=n,
        seed=seed,
        precision=precision,
        fused=() if fused is None else _numbers(fused, "numbers of styles"),
        floor=floor,
        protocol=protocol if images is None else "paper",
    )
    files = WeightFiles(vgg_weights, inception_weights)
    if images is not None:
        _refuse_with_images({"--compare": compare, "--floor": floor, "--fused": fused, "--dump": dump})
    _check_outputs(out, dump, reads=[("model file", model), ("model file", compare)], files=files, data=data)
    keep = None if dump is None else Dump(dump)
    if threads is not None:
        torch.set_num_threads(threads)
    where = pick_device(device)

    def phase(title: str) -> AbstractContextManager[Progress]:
        return progress(title, unit="pictures", quiet=quiet)

    if images is not None:
        photos = _read_whole_views(data, quiet=quiet)
        report = evaluate_images(images, photos, request=request, files=files, device=where, phase=phase)
    else:
        assert model is not None
        report = _measure_model(model, data, request, files, compare, where, keep, phase, quiet=quiet)
    _show(report, out, as_json=as_json)


def _model_and_data(places: tuple[str, ...], *, images: str | None) -> tuple[str | None, str]:
    """Return MODEL and DATA; only DATA with ``images``. Raises UsageError for another number of arguments."""
    if images is None and len(places) == 2:
        return places
    if images is not None and len(places) == 1:
        return None, places[0]
    wanted = "MODEL and DATA" if images is None else "only DATA with --images"
    raise click.UsageError(f"{len(places)} arguments are given; give {wanted}")


def _refuse_with_images(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value:
            raise InputError(f"{name} draws or compares a model, and --images has none; leave one of them out")


def _check_outputs(out: Path | None, dump: Path | None, *, reads: list[Read], files: WeightFiles, data: str) -> None:
    """Raise InputError, before any work, for folders that cannot be written or hold what is read."""
    if out is not None:
        check_folder(out)
    outputs = [] if out is None else [out / name for name in FILES]
    reads = [*reads, ("weights", files.vgg), ("weights", files.inception)]
    check_outputs([*outputs, *([] if dump is None else [dump])], reads, data=list_places(data))


def _measure_model(
    model: str,
    data: str,
    request: Request,
    files: WeightFiles,
    compare: str | None,
    device: torch.device,
    dump: Dump | None,
    phase: Phase,
    *,
    quiet: bool,
) -> Report:
    """Measure one model, and ``compare`` next to it."""
    path = resolve(model)
    generator, other = Generator.from_pretrained(path, device=device), _other(compare, device=device)
    request.check(generator.config)
    if not quiet:
        work = request.pixels(generator.config, other=None if other is None else other.generator.config) / 1e6
        click.echo(f"N = {request.n}, the distances need {work:.1f} Mpx of generated pictures", err=True)
    photos: Photos | Sequence[Photos]
    if request.protocol == "paper":
        photos = _read_whole_views(data, quiet=quiet)
    else:
        photos = _read(data, judged_scales(generator.config), quiet=quiet)
    return evaluate(
        generator,
        photos,
        request=request,
        files=files,
        model=path.name,
        model_hash=file_hash(path),
        other=other,
        dump=dump,
        phase=phase,
    )


def _show(report: Report, out: Path | None, *, as_json: bool) -> None:
    """Print the tables and notes, or JSON, and write the files."""
    if not as_json:
        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, FILE_COLUMNS)
        console.print(*report_tables(report), sep="\n")
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    files = () if out is None else write_report(report, out)
    if as_json:
        print_answer(result={"report": report.to_dict(), "files": [str(file) for file in files]})
        return
    for file in files:
        click.echo(file)


class EvalGroup(Group):
    """``infgen eval`` itself, and its subcommands: the first word decides."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse ``args`` for the subcommand that they begin with, or for ``measure``."""
        if args and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return measure.make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command whose arguments were parsed."""
        return ctx.command.invoke(ctx)


command = EvalGroup(
    "eval", commands={"outpaint": outpaint}, params=measure.params, help=measure.help, epilog=measure.epilog
)

"""``infgen eval outpaint``: measure how well a model continues photographs."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from infgen.atomic import check_output, write_atomically
from infgen.cli.answer import json_option, print_answer
from infgen.cli.command import Command
from infgen.cli.options import device_option, quiet_option, threads_option
from infgen.cli.photograph_options import FORMER_INVERSION, settings_option
from infgen.cli.progress import progress
from infgen.cli.seeds import SEED
from infgen.inputs import check_outputs
from infgen.inversion.settings import NAMED_SETTINGS
from infgen.pixels import Pixels
from infgen.rendering.studio import Options, open_studio
from infgen.train.data.sources import list_places, open_source
from infgen.train.evaluation import WeightFiles, metrics_named
from infgen.train.evaluation.dump import Dump
from infgen.train.evaluation.outpainting import OutpaintReport, OutpaintRequest, evaluate_outpainting
from infgen.world.world import World

SCHEMA = 2


@click.command(
    "outpaint",
    cls=Command,
    renamed=FORMER_INVERSION,
    examples=[("Forty photographs that the model has not seen", "eval outpaint MODEL held-out/ -o table2.json")],
    files_of_json=True,
)
@click.argument("model")
@click.argument("photos")
@click.option("--metrics", default="fd-effnet", show_default=True, help="Distances, and is, separated by commas.")
@click.option("--n", type=int, default=40, show_default=True, help="Photographs, the first by name.")
@settings_option
@click.option(
    "--inversion-steps",
    "steps",
    type=click.IntRange(0, 100_000),
    help="Limit of steps of an inversion; 0 skips it. [default: that of the settings]",
)
@click.option(
    "--inversion-seconds",
    "seconds",
    type=click.FloatRange(0, 10**7, min_open=True),
    help="Limit of seconds of an inversion.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the world.")
@click.option("--dump", type=click.Path(path_type=Path), help="Write the measured pictures to this empty folder.")
@json_option
@click.option("-o", "--output", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file.")
@click.option("--vgg-weights", type=click.Path(path_type=Path), help="VGG16 file. [default: PyTorch's cache]")
@click.option("--inception-weights", type=click.Path(path_type=Path), help="Inception file. [default: PyTorch's cache]")
@device_option
@threads_option
@quiet_option
def command(
    model: str,
    photos: str,
    metrics: str,
    n: int,
    settings_name: str,
    steps: int | None,
    seconds: float | None,
    seed: int,
    dump: Path | None,
    json_file: Path | None,
    vgg_weights: Path | None,
    inception_weights: Path | None,
    device: str | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Continue the left half of PHOTOS with MODEL, and compare with mirroring and OpenCV (the paper's Table 2).

    Give photographs that MODEL was not trained on. Of each, the middle 256 x 256 px are used; the right half is
    measured. IS-like is the Inception Score's formula on the classes of EfficientNet-Lite0.
    """
    chosen = NAMED_SETTINGS[settings_name]
    settings = replace(
        chosen,
        steps=chosen.steps if steps is None else steps,
        lpips_weights=vgg_weights if chosen.lpips == "vgg" else None,
    )
    request = OutpaintRequest(
        metrics_named([name for word in metrics.split(",") if (name := word.strip())]),
        n=n,
        settings=settings,
        seconds=seconds,
    )
    outputs = [path for path in (dump, json_file) if path is not None]
    check_outputs(outputs, [("model file", model), ("weights", vgg_weights)], data=list_places(photos))
    if json_file is not None:
        check_output(json_file)
    keep = None if dump is None else Dump(dump)
    if threads is not None:
        torch.set_num_threads(threads)
    report = evaluate_outpainting(
        open_studio(World(), model=model, options=Options(device=device)),
        open_source(photos),
        request=request,
        files=WeightFiles(vgg_weights, inception_weights),
        seed=seed,
        keep=None if keep is None else lambda name, picture: _keep(keep, name, picture),
        phase=lambda title: progress(title, unit=title, quiet=quiet),
    )
    found = {"schema": SCHEMA, "model": Path(model).name, "settings": settings_name, **asdict(report)}
    if as_json:
        print_answer(result=found)
    else:
        _print(report)
    if json_file is not None:
        with write_atomically(json_file) as temporary:
            temporary.write_text(json.dumps(found, indent=2) + "\n")


def _keep(dump: Dump, name: str, picture: Pixels) -> None:
    """Write one continued photograph, named like the photograph."""
    dump.folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(dump.folder / f"{Path(name).stem}.png") as temporary:
        Image.fromarray(np.ascontiguousarray(picture)).save(temporary, format="PNG")


def _print(report: OutpaintReport) -> None:
    labels = list(report.rows[0].distances)
    table = Table("the other half", *labels, "IS-like", "step at the join", title=f"N = {report.n}")
    for row in report.rows:
        values = [f"{row.distances[label]:.4g}" for label in labels]
        score = "-" if row.score is None else f"{row.score:.2f}"
        table.add_row(row.method, *values, score, f"{row.join:.2f}")
    console = Console()
    console.print(table)
    for name, unit in (("psnr", "dB"), ("lpips", ""), ("steps", "")):
        found = [float(getattr(one, name)) for one in report.reconstructions]
        line = f"known half, {name}: mean {np.mean(found):.3g}, {min(found):.3g} to {max(found):.3g} {unit}"
        console.print(line.rstrip(), highlight=False)

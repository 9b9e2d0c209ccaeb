"""Measure pictures of any program against photographs: the paper's protocol on a folder of pictures."""

import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.photo import read_photo
from infgen.progress import Phase, silent_phase
from infgen.train.data.sources import Source, open_source, read_picture
from infgen.train.evaluation.comparison import Features, distance, measurement
from infgen.train.evaluation.features import USUAL_FILES, FeatureNetwork, WeightFiles, collect, load_network
from infgen.train.evaluation.measurement import Measurement
from infgen.train.evaluation.metrics import networks_of, notes_for
from infgen.train.evaluation.real import real_features
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.request import PATCH_KINDS, Request
from infgen.train.evaluation.whole_views import VIEW_PX, WholeViews
from infgen.version import __version__


def evaluate_images(
    images: str | Path,
    photos: WholeViews,
    *,
    request: Request,
    files: WeightFiles = USUAL_FILES,
    device: torch.device | str = "cpu",
    phase: Phase = silent_phase,
) -> Report:
    """Measure the pictures of ``images`` (see ``open_source``) against ``photos``: up to ``request.n``, by name.

    A picture is scaled to 128 px as photographs are, and its middle square is measured. Raises InputError for a metric that
    needs a model, for fewer than two pictures, and for a picture that is damaged or smaller.
    """
    start = time.perf_counter()
    _check_metrics(request)
    source = open_source(images)
    n = min(request.n, len(source))
    if n < 2:
        raise InputError(f"folder {source.title} holds {len(source)} pictures; a distance needs 2 or more")
    networks = {name: load_network(name, files, device=device) for name in networks_of(request.metrics)}
    with phase("photographs") as progress:
        count = min(n, len(photos))
        real = real_features(photos, list(networks.values()), n=count, seed=request.seed, progress=progress)
    with phase("pictures") as progress:
        fake = collect(read_images(source, n), networks.values(), count=n, progress=progress)
    return Report(
        measurements=tuple(_measure(request, networks, real, fake)),
        n=n,
        seed=request.seed,
        precision=request.precision,
        photographs=len(photos),
        fingerprint=photos.fingerprint,
        view_px=VIEW_PX,
        patch_px=VIEW_PX,
        weights={name: network.key for name, network in networks.items()},
        versions={"infgen": __version__, "torch": torch.__version__, "python": platform.python_version()},
        seconds=round(time.perf_counter() - start, 1),
        notes=notes_for(request.metrics),
        model=source.title,
        protocol="paper",
    )


def _check_metrics(request: Request) -> None:
    for metric in request.metrics:
        if metric.kind not in PATCH_KINDS:
            allowed = ", ".join(PATCH_KINDS)
            raise InputError(
                f"metric {metric.name} needs a model, and --images has none; give metrics of kind {allowed}"
            )


def _measure(
    request: Request, networks: Mapping[str, FeatureNetwork], real: Features, fake: Features
) -> Iterator[Measurement]:
    for metric in request.metrics:
        network = networks[str(metric.network)]
        value, deviation = distance(metric, real[network.name], fake[network.name], network, seed=request.seed)
        yield measurement(metric, value, deviation=deviation)


def read_images(source: Source, count: int) -> Iterator[Tensor]:
    """Yield the middle squares of the first ``count`` pictures at 128 px, (3, 128, 128) uint8."""
    for picture in source.pictures[:count]:
        try:
            image = read_photo(read_picture(picture), short_px=VIEW_PX).image
        except InputError as error:
            raise InputError(f"picture {picture.label} cannot be measured: {error}; remove or replace it") from None
        left, top = (image.width - VIEW_PX) // 2, (image.height - VIEW_PX) // 2
        square = image.crop((left, top, left + VIEW_PX, top + VIEW_PX))
        pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(VIEW_PX, VIEW_PX, 3)
        yield pixels.permute(2, 0, 1)

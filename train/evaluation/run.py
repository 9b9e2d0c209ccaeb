"""One evaluation from its request: networks loaded and everything checked first, then every picture drawn once."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from infgen import __version__
from infgen.engines.eager import Precision
from infgen.errors import InputError, LimitError
from infgen.model.generator import Generator
from infgen.train.evaluation import picture_scores
from infgen.train.evaluation.distances import MIN_SCORE_PICTURES, inception_score, kernel
from infgen.train.evaluation.distances import frechet as frechet_distance
from infgen.train.evaluation.features import USUAL_FILES, FeatureNetwork, WeightFiles, collect, load_network
from infgen.train.evaluation.generated import Painter, patches, pixels_to_draw, strip_crops
from infgen.train.evaluation.inception import InceptionFeatures
from infgen.train.evaluation.metrics import Metric, networks_of, notes_for
from infgen.train.evaluation.real import Photos, real_features
from infgen.train.evaluation.report import Measurement, Report

PATCH_KINDS = ("frechet", "kernel", "inception-score")  # what looks at samples of the size of a training patch
MAX_N = 100_000  # features of so many pictures, 800 MB for Inception, are held at once
MAX_SCALED_PX = 8192  # side of the largest picture that is shrunk, 1 GB while it is
DEFAULT_METRICS = ("fd-effnet", "diversity", "seam", "repetition")  # what works offline
DEFAULT_SCALES = (1, 2, 4, 8)

Progress = Callable[[int, int], None]
Phase = Callable[[str], AbstractContextManager[Progress]]


def _silent(title: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Request:
    """What to measure. ``n``: real and generated pictures of each distance. ``scales``: of ScaleInv distances."""

    metrics: tuple[Metric, ...]
    scales: tuple[int, ...] = DEFAULT_SCALES
    n: int = 1000
    seed: int = 0
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if not 2 <= self.n <= MAX_N:
            raise InputError(f"{self.n} pictures are not possible; give a number from 2 to {MAX_N}")
        if not self.scales or any(s < 1 for s in self.scales):
            raise InputError(f"scales {self.scales} are not possible; give whole numbers from 1, for example 1,2,4,8")
        if self.wants("inception-score") and self.n < MIN_SCORE_PICTURES:
            raise InputError(f"{self.n} pictures are too few for an Inception Score; give {MIN_SCORE_PICTURES} or more")

    def check(self, patch_px: int) -> None:
        """Raise LimitError where a picture would be too large for a model of ``patch_px``."""
        largest = max(self.drawn_scales(), default=1)
        if largest * patch_px > MAX_SCALED_PX:
            raise LimitError(
                f"scale {largest} gives pictures of {largest * patch_px} px, over the limit of {MAX_SCALED_PX} px a side; "
                f"give scales up to {MAX_SCALED_PX // patch_px}"
            )

    def wants(self, *kinds: str) -> bool:
        """Whether a metric of one of ``kinds`` is asked for."""
        return any(m.kind in kinds for m in self.metrics)

    def at(self, scale: int) -> tuple[Metric, ...]:
        """The metrics that look at samples of ``scale``."""
        kinds = {"scaleinv"} if scale in self.scales else set()
        kinds |= set(PATCH_KINDS) if scale == 1 else set()
        return tuple(m for m in self.metrics if m.kind in kinds)

    def drawn_scales(self) -> tuple[int, ...]:
        """Scales at which samples are drawn, in order."""
        return tuple(s for s in sorted({1, *self.scales}) if self.at(s))

    def pixels(self, patch_px: int) -> int:
        """Pixels that the distances will draw."""
        return pixels_to_draw(patch_px, n=self.n, scales=self.drawn_scales(), strips=self.wants("strip"))


def evaluate(
    generator: Generator,
    photos: Photos,
    *,
    request: Request,
    files: WeightFiles = USUAL_FILES,
    model: str | None = None,
    model_hash: str | None = None,
    phase: Phase = _silent,
) -> Report:
    """Measure ``generator`` against ``photos``, on the device where its weights are.

    ``photos`` must give patches of the generator's size. ``phase(title)`` gives a context with a callback for (pictures
    done, pictures in all). The values depend on generator, photographs and request alone. Raises InputError and its kinds
    before any picture is drawn where something cannot work.
    """
    start = time.perf_counter()
    painter = Painter.of(generator, precision=request.precision)
    if photos.patch_px != painter.patch_px:
        raise InputError(
            f"photographs are cut into patches of {photos.patch_px} px, the model draws {painter.patch_px} px; open them alike"
        )
    request.check(painter.patch_px)
    device = painter.device
    networks = {name: load_network(name, files, device=device) for name in networks_of(request.metrics)}
    measurements = [
        *_distances(painter, photos, list(networks.values()), request=request, phase=phase),
        *_pictures(painter, request=request, phase=phase),
    ]
    order = [m.name for m in request.metrics]
    return Report(
        measurements=tuple(sorted(measurements, key=lambda m: (order.index(m.metric), m.scale))),
        n=request.n,
        seed=request.seed,
        precision=request.precision,
        photographs=len(photos),
        fingerprint=photos.fingerprint,
        view_px=photos.view_px,
        patch_px=photos.patch_px,
        weights={name: network.key for name, network in networks.items()},
        versions={"infgen": __version__, "torch": torch.__version__, "python": platform.python_version()},
        seconds=round(time.perf_counter() - start, 1),
        notes=notes_for(request.metrics),
        model=model,
        model_hash=model_hash,
    )


def frechet(
    generator: Generator, network: FeatureNetwork, *, real: Tensor, n: int, seed: int, precision: Precision = "fp32"
) -> float:
    """Frechet distance of ``n`` generated patches from real features (N, D): what a training loop asks for now and then.

    ``real``: ``real_features(photos, [network], n=n, seed=seed)[network.name]``, computed once. With the same numbers it is
    exactly the distance that ``evaluate`` reports.
    """
    painter = Painter.of(generator, precision=precision)
    fake = collect(patches(painter, n=n, seed=seed), [network], count=n)
    return frechet_distance(real, fake[network.name])


def _distances(
    painter: Painter, photos: Photos, networks: Sequence[FeatureNetwork], *, request: Request, phase: Phase
) -> Iterator[Measurement]:
    """Every metric that compares generated with real features. Each picture is drawn once for all networks."""
    if not networks:
        return
    n, seed = request.n, request.seed
    with phase("photographs") as progress:
        real = real_features(photos, networks, n=n, seed=seed, progress=progress)
    for scale in request.drawn_scales():
        pictures = patches(painter, n=n, seed=seed, scale=scale)
        with phase(f"samples, {scale}x") as progress:
            fake = collect(pictures, _used(networks, request.at(scale)), count=n, progress=progress)
        yield from (_measured(m, real, fake, networks, scale=scale, seed=seed) for m in request.at(scale))
    strips = tuple(m for m in request.metrics if m.kind == "strip")
    if strips:
        with phase("crops of strips") as progress:
            fake = collect(strip_crops(painter, n=n, seed=seed), _used(networks, strips), count=n, progress=progress)
        yield from (_measured(m, real, fake, networks, scale=1, seed=seed) for m in strips)


def _used(networks: Sequence[FeatureNetwork], metrics: Sequence[Metric]) -> list[FeatureNetwork]:
    return [network for network in networks if network.name in networks_of(metrics)]


def _measured(
    metric: Metric,
    real: Mapping[str, Tensor],
    fake: Mapping[str, Tensor],
    networks: Sequence[FeatureNetwork],
    *,
    scale: int,
    seed: int,
) -> Measurement:
    """One metric of the features of real and generated pictures."""
    network = next(n for n in networks if n.name == metric.network)
    if metric.kind == "kernel":
        estimate = kernel(real[network.name], fake[network.name], seed=seed)
        return _measurement(metric, estimate.mean, deviation=estimate.deviation)
    if metric.kind == "inception-score":
        assert isinstance(network, InceptionFeatures)
        estimate = inception_score(network.logits(fake[network.name]), seed=seed)
        return _measurement(metric, estimate.mean, deviation=estimate.deviation)
    return _measurement(metric, frechet_distance(real[network.name], fake[network.name]), scale=scale)


def _pictures(painter: Painter, *, request: Request, phase: Phase) -> Iterator[Measurement]:
    """Every metric that needs no photograph."""
    for metric in request.metrics:
        if metric.kind == "seam":
            with phase("seams") as progress:
                yield _measurement(metric, picture_scores.seam_score(painter, seed=request.seed, progress=progress))
        elif metric.kind == "repetition":
            with phase("repetition"):
                found = picture_scores.repetition(painter, seed=request.seed)
            yield _measurement(metric, found.peak, detail={"shift_px": found.shift_px})
        elif metric.kind == "diversity":
            pairs = min(request.n, picture_scores.DIVERSITY_PAIRS)
            with phase("diversity") as progress:
                spread = picture_scores.diversity(painter, n=pairs, seed=request.seed, progress=progress)
            detail = {"other_style": spread.other_style, "pairs": spread.pairs}
            yield _measurement(metric, spread.same_style, detail=detail)


def _measurement(
    metric: Metric,
    value: float,
    *,
    scale: int = 1,
    deviation: float | None = None,
    detail: Mapping[str, float | int] | None = None,
) -> Measurement:
    return Measurement(metric.name, metric.label, value, metric.better, scale, deviation, detail)

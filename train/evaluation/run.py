"""One evaluation from its request: networks loaded and everything checked first, then every picture drawn once."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace

import torch
from torch import Tensor

from infgen.engines.eager import Precision
from infgen.errors import InputError
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.progress import Phase, silent_phase
from infgen.train.evaluation import picture_scores
from infgen.train.evaluation.comparison import Comparison, measurement
from infgen.train.evaluation.distances import frechet as frechet_distance
from infgen.train.evaluation.dump import Dump
from infgen.train.evaluation.features import USUAL_FILES, FeatureNetwork, WeightFiles, collect, load_network
from infgen.train.evaluation.generated import patches
from infgen.train.evaluation.measurement import Measurement, ScaleRecord
from infgen.train.evaluation.metrics import networks_of, notes_for
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.photographs import Turned, halves
from infgen.train.evaluation.real import Photos
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.request import Request
from infgen.train.evaluation.whole_views import VIEW_PX, paper_scale
from infgen.version import __version__


@dataclass(frozen=True)
class Other:
    """A model whose distances stand beside those of the one that is evaluated. ``name``, ``sha256``: of its file."""

    generator: Generator
    name: str | None = None
    _: KW_ONLY
    sha256: str | None = None


def evaluate(
    generator: Generator,
    photos: Photos | Sequence[Photos],
    *,
    request: Request,
    files: WeightFiles = USUAL_FILES,
    model: str | None = None,
    model_hash: str | None = None,
    other: Other | None = None,
    dump: Dump | None = None,
    phase: Phase = silent_phase,
) -> Report:
    """Measure ``generator`` against ``photos``, on the device where its weights are, at every scale that it has.

    ``photos``: photographs with patches of the generator's size; for a generator with scales one set for each, the coarsest
    first, see ``open_photographs``; in the paper's protocol one set, see ``open_whole_views``. ``dump``: keeps the pictures.
    ``phase(title)`` gives a context with a callback for (pictures done, pictures in all).
    The values depend on generators, photographs and request alone. Raises InputError and its kinds before any picture is
    drawn where something cannot work.
    """
    start = time.perf_counter()
    request.check(generator.config)
    sets = list(photos) if isinstance(photos, Sequence) else [photos]
    records = _records(sets, generator.config, request)
    names, device = networks_of(request.metrics), generator.mean_style.device
    networks = {name: load_network(name, files, device=device) for name in names}
    beside = None if other is None else other.generator
    comparison = Comparison(
        generator, beside, request=request, networks=list(networks.values()), phase=phase, dump=dump
    )
    return Report(
        measurements=_measurements(comparison, sets),
        n=request.n,
        seed=request.seed,
        precision=request.precision,
        photographs=records[0].photographs,
        fingerprint=records[0].fingerprint,
        view_px=records[0].view_px,
        patch_px=records[0].patch_px,
        weights={name: network.key for name, network in networks.items()},
        versions={"infgen": __version__, "torch": torch.__version__, "python": platform.python_version()},
        seconds=round(time.perf_counter() - start, 1),
        notes=notes_for(request.metrics),
        model=model,
        model_hash=model_hash,
        scales=records if generator.config.scales and request.protocol == "patches" else (),
        other=None if other is None else other.name,
        other_hash=None if other is None else other.sha256,
        protocol=request.protocol,
    )


def frechet(
    generator: Generator,
    network: FeatureNetwork,
    *,
    real: Tensor,
    n: int,
    seed: int,
    precision: Precision = "fp32",
    scale: Scale | None = None,
) -> float:
    """Frechet distance of ``n`` generated patches from real features (N, D): what a training loop asks for now and then.

    ``real``: ``real_features(photos, [network], n=n, seed=seed)[network.name]``, computed once. ``scale``: one of
    ``judged_scales(generator.config)``, from whose photographs ``real`` is; None: the coarsest. With the same numbers it is
    exactly the distance that ``evaluate`` reports.
    """
    scales = judged_scales(generator.config)
    own = scales[0] if scale is None else next(s for s in scales if s.halvings == scale.halvings)
    painter = Painter.of(generator, scale=own, precision=precision)
    fake = collect(patches(painter, n=n, seed=seed), [network], count=n)
    return frechet_distance(real, fake[network.name])


def _records(sets: Sequence[Photos], config: GeneratorConfig, request: Request) -> tuple[ScaleRecord, ...]:
    """The photographs of each scale. Raises InputError where they are not those of the scales, or too few for a floor."""
    scales = judged_scales(config)
    if request.protocol == "paper":
        views = paper_scale(config)
        scales = (replace(views, view_px=VIEW_PX, patch_px=VIEW_PX),)
    if len(sets) != len(scales):
        raise InputError(
            f"photographs come for {len(sets)} scales, the model has {len(scales)}; open them for its scales"
        )
    for photos, scale in zip(sets, scales, strict=True):
        if photos.patch_px != scale.patch_px:
            raise InputError(
                f"photographs are cut into patches of {photos.patch_px} px, the model draws {scale.patch_px} px; open them alike"
            )
        if config.scales and photos.view_px != scale.view_px:
            raise InputError(
                f"photographs have views of {photos.view_px} px, scale {scale.name} has views of {scale.view_px} px; open them "
                "alike"
            )
        if request.floor:
            halves(photos, seed=0)
    return tuple(
        ScaleRecord(
            scale.name,
            view_px=at.view_px,
            patch_px=at.patch_px,
            photographs=len(at),
            too_small=len(sets[0]) - len(at),
            fingerprint=at.fingerprint,
        )
        for at, scale in zip(sets, scales, strict=True)
    )


def _measurements(comparison: Comparison, sets: Sequence[Photos]) -> tuple[Measurement, ...]:
    """All values, in the order of the request and then of scales from coarse to fine."""
    config = comparison.generator.config
    scales = judged_scales(config)
    compared = (paper_scale(config),) if comparison.request.protocol == "paper" else scales
    found: list[Measurement] = []
    for scale, photos in zip(compared, sets, strict=True):
        found += comparison.at(scale, photos if config.has_horizon else Turned(photos))
    for scale in scales:
        found += _diversity(comparison, scale)
    found += _pictures(comparison)
    metrics, names = [m.name for m in comparison.request.metrics], [None, *(scale.name for scale in scales)]
    return tuple(sorted(found, key=lambda m: (metrics.index(m.metric), names.index(m.at), m.scale)))


def _diversity(comparison: Comparison, scale: Scale) -> Iterator[Measurement]:
    """Diversity at one scale."""
    request, config = comparison.request, comparison.generator.config
    for metric in request.of("diversity"):
        painter = Painter.of(comparison.generator, scale=scale, precision=request.precision)
        pairs = min(request.n, picture_scores.DIVERSITY_PAIRS)
        with comparison.phase(f"diversity, {scale.label}" if config.scales else "diversity") as progress:
            spread = picture_scores.diversity(painter, n=pairs, seed=request.seed, progress=progress)
        detail = {"other_style": spread.other_style, "pairs": spread.pairs}
        yield measurement(metric, spread.same_style, detail=detail, at=scale if config.scales else None)


def _pictures(comparison: Comparison) -> Iterator[Measurement]:
    """Every metric of pictures at full size that needs no photograph."""
    request, phase = comparison.request, comparison.phase
    painter = Painter.of(comparison.generator, precision=request.precision)
    for metric in request.of("seam"):
        with phase("seams") as progress:
            yield measurement(metric, picture_scores.seam_score(painter, seed=request.seed, progress=progress))
    for metric in request.of("repetition"):
        with phase("repetition"):
            found = picture_scores.repetition(painter, seed=request.seed)
        yield measurement(metric, found.peak, detail={"shift_px": found.shift_px})

"""All distances at one scale of a model: pictures of every column of the report against photographs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from torch import Tensor

from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.progress import Phase
from infgen.train.evaluation.distances import coverage, frechet, inception_score, kernel
from infgen.train.evaluation.dump import Dump
from infgen.train.evaluation.features import FeatureNetwork, collect
from infgen.train.evaluation.generated import patches, strip_crops, wide_crops
from infgen.train.evaluation.inception import InceptionFeatures
from infgen.train.evaluation.measurement import FLOOR, MODEL, OTHER, Measurement, fused_column
from infgen.train.evaluation.metrics import Kind, Metric, networks_of
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.photographs import halves
from infgen.train.evaluation.real import Photos, real_features
from infgen.train.evaluation.request import PATCH_KINDS, Request
from infgen.train.evaluation.whole_views import strip_views, whole_views

Features = Mapping[str, Tensor]  # network -> (N, D)
_STRIPS: Mapping[Kind, str] = {"strip": "strips", "fused-strip": "strips of several styles"}


@dataclass(frozen=True)
class _Take:
    """Pictures that are drawn once for several metrics. ``scale``: of a ScaleInv distance, 1 elsewhere."""

    title: str
    pictures: Iterator[Tensor]
    metrics: tuple[Metric, ...]
    column: str
    scale: int = 1
    enlarged: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What is compared with photographs: ``generator``, and ``other`` in a second column. ``networks``: all that are needed.

    ``dump``: also writes every generated picture to a file.
    """

    generator: Generator
    other: Generator | None
    _: KW_ONLY
    request: Request
    networks: Sequence[FeatureNetwork]
    phase: Phase
    dump: Dump | None = None

    def at(self, scale: Scale, photos: Photos) -> Iterator[Measurement]:
        """Every distance at ``scale`` of the model, from ``photos`` of this scale. A picture is drawn once for all networks."""
        if not self.networks:
            return
        n, seed = self.request.n, self.request.seed
        whole = self.request.protocol == "paper"  # a photograph is one view, and gives nothing new a second time
        with self.phase(self._title("photographs", scale)) as progress:
            count = min(n, len(photos)) if whole else n
            real = real_features(photos, self.networks, n=count, seed=seed, progress=progress)
        for take in self._takes(scale):
            if not take.metrics:
                continue
            pictures = take.pictures if self.dump is None else self.dump.keep(take.title, take.pictures)
            with self.phase(take.title) as progress:
                fake = collect(pictures, self._select_networks(take.metrics), count=n, progress=progress)
            for metric in take.metrics:
                yield self._measure(metric, real, fake, scale, take)
        if self.request.floor:
            yield from self._floor(scale, photos)

    def _takes(self, scale: Scale) -> Iterator[_Take]:
        """Pictures of all columns at ``scale``."""
        request, config = self.request, self.generator.config
        for column, generator in self._generators():
            painter = Painter.of(generator, scale=scale, precision=request.precision)
            if request.protocol == "paper":
                yield from self._of_views(painter, column, scale)
            else:
                yield from self._of_painter(painter, column, scale)
        if request.protocol == "paper":
            return
        own = Painter.of(self.generator, scale=scale, precision=request.precision)
        for styles in request.fused:
            column = fused_column(styles)
            pictures = patches(own, n=request.n, seed=request.seed, styles=styles)
            yield _Take(self._title(f"samples of {column}", scale), pictures, request.of(*PATCH_KINDS), column)
        if config.scales and scale == judged_scales(config)[0]:
            yield from self._wide(scale)

    def _of_painter(self, painter: Painter, column: str, scale: Scale) -> Iterator[_Take]:
        """Samples and crops of strips by one model. Where they lie is a matter of the first one, whoever draws them."""
        request, config = self.request, self.generator.config.coarser(scale.halvings)
        n, seed = request.n, request.seed
        enlarged = None if painter.enlarged == 1 else painter.enlarged
        who = "" if column == MODEL else f" of the {column} model"
        for factor in (1,) if config.scales else request.drawn_scales():
            metrics = request.of(*PATCH_KINDS) if config.scales else request.at(factor)
            title = self._title(f"samples{who}", scale) if config.scales else f"samples{who}, {factor}x"
            pictures = patches(painter, n=n, seed=seed, scale=factor, config=config)
            yield _Take(title, pictures, metrics, column, factor, enlarged)
        for kind, what in _STRIPS.items():
            crops = strip_crops(painter, n=n, seed=seed, config=config, fused=kind == "fused-strip")
            yield _Take(self._title(f"crops of {what}{who}", scale), crops, request.of(kind), column, 1, enlarged)

    def _of_views(self, painter: Painter, column: str, scale: Scale) -> Iterator[_Take]:
        """Whole views and crops of strips by one model, in the paper's protocol."""
        request, config = self.request, self.generator.config.coarser(scale.halvings)
        n, seed = request.n, request.seed
        enlarged = None if painter.enlarged == 1 else painter.enlarged
        who = "" if column == MODEL else f" of the {column} model"
        for factor in request.drawn_scales():
            pictures = whole_views(painter, n=n, seed=seed, scale=factor, config=config)
            yield _Take(f"views{who}, {factor}x", pictures, request.at(factor), column, factor, enlarged)
        for kind, what in _STRIPS.items():
            crops = strip_views(painter, n=n, seed=seed, fused=kind == "fused-strip", config=config)
            yield _Take(f"crops of {what}{who}", crops, request.of(kind), column, 1, enlarged)

    def _wide(self, whole: Scale) -> Iterator[_Take]:
        """Windows of one view and more, drawn at full size: what ScaleInv distances of a model with scales look at."""
        request = self.request
        for column, generator in self._generators():
            finest = Painter.of(generator, precision=request.precision)
            for views in request.scales:
                crops = wide_crops(finest, whole, n=request.n, seed=request.seed, views=views)
                yield _Take(f"windows {views} times a view, {column}", crops, request.of("scaleinv"), column, views)

    def _generators(self) -> list[tuple[str, Generator]]:
        return [(MODEL, self.generator), *([] if self.other is None else [(OTHER, self.other)])]

    def _floor(self, scale: Scale, photos: Photos) -> Iterator[Measurement]:
        """One half of the photographs against the other."""
        request, metrics = self.request, self.request.of("frechet", "kernel")
        features: list[Features] = []
        for half in halves(photos, seed=request.seed):
            with self.phase(self._title("half of the photographs", scale)) as progress:
                used = self._select_networks(metrics)
                features.append(real_features(half, used, n=request.n, seed=request.seed, progress=progress))
        one, other = features
        take = _Take("", iter(()), metrics, FLOOR)
        yield from (self._measure(metric, one, other, scale, take) for metric in metrics)

    def _title(self, what: str, scale: Scale) -> str:
        several = self.generator.config.scales and self.request.protocol == "patches"
        return f"{what}, {scale.label}" if several else what

    def _select_networks(self, metrics: Sequence[Metric]) -> list[FeatureNetwork]:
        return [network for network in self.networks if network.name in networks_of(metrics)]

    def _measure(self, metric: Metric, real: Features, fake: Features, scale: Scale, take: _Take) -> Measurement:
        """One metric of the features of real and generated pictures."""
        network = next(n for n in self.networks if n.name == metric.network)
        value, deviation = distance(metric, real[network.name], fake[network.name], network, seed=self.request.seed)
        several = self.generator.config.scales and self.request.protocol == "patches"
        patch = metric.kind == "scaleinv" and self.request.protocol == "patches" and not self.generator.config.scales
        return measurement(
            metric,
            value,
            label=f"patch {metric.label}" if patch else None,
            scale=take.scale,
            deviation=deviation,
            at=scale if several else None,
            column=take.column,
            enlarged=take.enlarged,
        )


def distance(
    metric: Metric, real: Tensor, fake: Tensor, network: FeatureNetwork, *, seed: int
) -> tuple[float, float | None]:
    """Value and deviation of one metric of features (N, D)."""
    if metric.kind == "kernel":
        estimate = kernel(real, fake, seed=seed)
        return estimate.mean, estimate.deviation
    if metric.kind == "precision":
        return coverage(real, fake), None
    if metric.kind == "recall":
        return coverage(fake, real), None
    if metric.kind == "inception-score":
        assert isinstance(network, InceptionFeatures)
        estimate = inception_score(network.logits(fake), seed=seed)
        return estimate.mean, estimate.deviation
    return frechet(real, fake), None


def measurement(
    metric: Metric,
    value: float,
    *,
    label: str | None = None,
    scale: int = 1,
    deviation: float | None = None,
    detail: Mapping[str, float | int] | None = None,
    at: Scale | None = None,
    column: str = MODEL,
    enlarged: float | None = None,
) -> Measurement:
    """A value of ``metric``. ``label``: None: the metric's. ``at``: the scale of a model with several."""
    return Measurement(
        metric.name,
        label or metric.label,
        value=value,
        better=metric.better,
        scale=scale,
        deviation=deviation,
        detail=detail,
        at=None if at is None else at.name,
        view_px=None if at is None else at.view_px,
        patch_px=None if at is None else at.patch_px,
        column=column,
        enlarged=enlarged,
    )

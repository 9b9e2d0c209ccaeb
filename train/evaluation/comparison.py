"""All distances at one scale of a model: pictures of every column of the report against photographs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.progress import Phase
from infgen.train.evaluation.distances import frechet, inception_score, kernel
from infgen.train.evaluation.features import FeatureNetwork, collect
from infgen.train.evaluation.generated import patches, strip_crops, wide_crops
from infgen.train.evaluation.inception import InceptionFeatures
from infgen.train.evaluation.measurement import FLOOR, MODEL, OTHER, Measurement, fused_column
from infgen.train.evaluation.metrics import Metric, networks_of
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.photographs import halves
from infgen.train.evaluation.real import Photos, real_features
from infgen.train.evaluation.request import PATCH_KINDS, Request

Features = Mapping[str, Tensor]  # network -> (N, D)


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
    """What is compared with photographs: ``generator``, and ``other`` in a second column. ``networks``: all that are needed."""

    generator: Generator
    other: Generator | None
    request: Request
    networks: Sequence[FeatureNetwork]
    phase: Phase

    def at(self, scale: Scale, photos: Photos) -> Iterator[Measurement]:
        """Every distance at ``scale`` of the model, from ``photos`` of this scale. A picture is drawn once for all networks."""
        if not self.networks:
            return
        n, seed = self.request.n, self.request.seed
        with self.phase(self._title("photographs", scale)) as progress:
            real = real_features(photos, self.networks, n=n, seed=seed, progress=progress)
        for take in self._takes(scale):
            if not take.metrics:
                continue
            with self.phase(take.title) as progress:
                fake = collect(take.pictures, self._used(take.metrics), count=n, progress=progress)
            for metric in take.metrics:
                yield self._measured(metric, real, fake, scale, take)
        if self.request.floor:
            yield from self._floor(scale, photos)

    def _takes(self, scale: Scale) -> Iterator[_Take]:
        """Pictures of all columns at ``scale``."""
        request, config = self.request, self.generator.config
        for column, generator in self._generators():
            painter = Painter.of(generator, scale=scale, precision=request.precision)
            yield from self._of_painter(painter, column, scale)
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
        crops = strip_crops(painter, n=n, seed=seed, config=config)
        yield _Take(self._title(f"crops of strips{who}", scale), crops, request.of("strip"), column, 1, enlarged)

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
                used = self._used(metrics)
                features.append(real_features(half, used, n=request.n, seed=request.seed, progress=progress))
        one, other = features
        take = _Take("", iter(()), metrics, FLOOR)
        yield from (self._measured(metric, one, other, scale, take) for metric in metrics)

    def _title(self, what: str, scale: Scale) -> str:
        return f"{what}, {scale.label}" if self.generator.config.scales else what

    def _used(self, metrics: Sequence[Metric]) -> list[FeatureNetwork]:
        return [network for network in self.networks if network.name in networks_of(metrics)]

    def _measured(self, metric: Metric, real: Features, fake: Features, scale: Scale, take: _Take) -> Measurement:
        """One metric of the features of real and generated pictures."""
        network = next(n for n in self.networks if n.name == metric.network)
        value, deviation = _distance(metric, real[network.name], fake[network.name], network, seed=self.request.seed)
        return measurement(
            metric,
            value,
            scale=take.scale,
            deviation=deviation,
            at=scale if self.generator.config.scales else None,
            column=take.column,
            enlarged=take.enlarged,
        )


def _distance(
    metric: Metric, real: Tensor, fake: Tensor, network: FeatureNetwork, *, seed: int
) -> tuple[float, float | None]:
    """Value and deviation of one metric of features (N, D)."""
    if metric.kind == "kernel":
        estimate = kernel(real, fake, seed=seed)
        return estimate.mean, estimate.deviation
    if metric.kind == "inception-score":
        assert isinstance(network, InceptionFeatures)
        estimate = inception_score(network.logits(fake), seed=seed)
        return estimate.mean, estimate.deviation
    return frechet(real, fake), None


def measurement(
    metric: Metric,
    value: float,
    *,
    scale: int = 1,
    deviation: float | None = None,
    detail: Mapping[str, float | int] | None = None,
    at: Scale | None = None,
    column: str = MODEL,
    enlarged: float | None = None,
) -> Measurement:
    """A value of ``metric``. ``at``: the scale of a model with several."""
    return Measurement(
        metric.name,
        metric.label,
        value,
        metric.better,
        scale,
        deviation,
        detail,
        at=None if at is None else at.name,
        view_px=None if at is None else at.view_px,
        patch_px=None if at is None else at.patch_px,
        column=column,
        enlarged=enlarged,
    )

"""Measure the EMA model in training, to keep the best: Frechet distance from the photographs, averaged over scales."""

from pathlib import Path

import torch

from infgen.errors import InputError
from infgen.model.generator import Generator
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.loop import Judge
from infgen.train.presets import Recipe
from infgen.train.run import JudgeFactory

METRICS = {"fd-vgg": "vgg", "fd-effnet": "effnet", "fid": "inception"}  # -> feature network
PHOTO_SEED, MODEL_SEED = 1, 2


def make_judge_factory(
    metric: str, recipe: Recipe, *, n: int, vgg_weights: Path | None = None, inception_weights: Path | None = None
) -> JudgeFactory:
    """Make the factory of a judge that measures ``metric`` with ``n`` real and ``n`` generated patches per scale.

    Raises InputError if the metric uses the network that the discriminator is trained with.
    """
    if metric == "fd-effnet" and recipe.discriminator == "projected":
        raise InputError(
            "metric fd-effnet cannot measure a model trained against the same network (discriminator projected); "
            "give --metric fd-vgg"
        )

    def make(photos: PhotoPyramid, device: torch.device) -> Judge:
        from infgen.train.evaluation import WeightFiles, frechet, load_network, real_features

        network = load_network(METRICS[metric], WeightFiles(vgg_weights, inception_weights), device=device)
        real = [real_features(at, [network], n=n, seed=PHOTO_SEED)[network.name] for at in photos.sets]

        def measure(generator: Generator) -> float:
            generator.update_mean_style()
            scales = zip(recipe.trained_scales, real, strict=True)
            values = [frechet(generator, network, real=r, n=n, seed=MODEL_SEED, scale=scale) for scale, r in scales]
            return sum(values) / len(values)

        return Judge(metric.replace("-", "_"), measure, n)

    return make

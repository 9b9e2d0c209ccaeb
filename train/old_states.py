"""Read training states and recipes of earlier versions with their old meaning."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from infgen.train.presets import Recipe

ONE_SCALE = 4  # version of states that have no scales
# Recipe values that older states lack, and the value that those runs had. A new entry of Recipe belongs here, too.
ADDED_LATER = {
    "scales": [],
    "scale_shares": [],
    "fusion": 0.0,
    "warmup_steps": 0,
    "colour_jitter": 1.0,
    "diversity_norm": "sum",
    "turns": False,
}


def keep_summed_diversity(recipe: Recipe, saved: Mapping[str, Any]) -> Recipe:
    """Return ``recipe`` with the diversity loss of the ``saved`` recipe of its run, if that sums distances over cells.

    Presets had such a loss until distances were divided by their numbers of elements. A run keeps its loss to the end. A
    loss that only one of the two has stays, so that resuming with another ablation is noticed.
    """
    saved = ADDED_LATER | dict(saved)
    weight = saved.get("diversity_weight")
    if saved["diversity_norm"] != "sum" or not isinstance(weight, int | float):
        return recipe
    if not weight * recipe.diversity_weight:
        return recipe
    return replace(recipe, diversity_norm="sum", diversity_weight=weight)


def upgrade_one_scale(content: dict[str, Any], *, version: int) -> dict[str, Any]:
    """Convert a state of version 4, which has one scale, to the current ``version``. Returns damaged states as they are."""
    discriminator, path_mean = content.get("discriminator"), content.get("path_mean")
    if not isinstance(discriminator, dict) or not isinstance(path_mean, Tensor):
        return content
    return content | {
        "version": version,
        "ema": content.get("average"),
        "discriminators": {f"0.{name}": value for name, value in discriminator.items()},
        "path_mean": path_mean.reshape(1),
        "augment_p": [content.get("augment_p")],
        "real_sign": [content.get("real_sign")],
    }

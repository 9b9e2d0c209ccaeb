"""Check the values of a saved training state against the state that they will replace."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from infgen.train.state import TrainingState

_MAX_STEP = 2**53
_AVERAGES = ("exp_avg", "exp_avg_sq")


def check_values(content: Mapping[str, Any], state: "TrainingState") -> None:
    """Raise ValueError that names the first value of ``content`` that no run can have saved for ``state``."""
    scales = len(state.discriminators)
    step = content["step"]
    if type(step) is not int or not 0 <= step <= _MAX_STEP:
        raise ValueError(f"step is {step!r}")
    for name, low, high in (("augment_p", 0.0, 1.0), ("real_sign", -math.inf, math.inf)):
        _check_numbers(name, content[name], low=low, high=high, count=scales)
    _check_numbers("best", list(content["best"].values()), low=-math.inf, high=math.inf, count=len(content["best"]))
    if set(content["best"]) not in (set(), {"value", "step"}):
        raise ValueError(f"best has entries {sorted(map(str, content['best']))}")
    path_mean = content["path_mean"]
    if path_mean.shape != state.path_mean.shape or not _is_finite(path_mean) or bool((path_mean < 0).any()):
        raise ValueError("path_mean has another shape or is no mean of lengths")
    for name in ("generator", "ema", "discriminators"):
        for key, tensor in content[name].items():
            if isinstance(tensor, Tensor) and not _is_finite(tensor):
                raise ValueError(f"{name}.{key} is not finite")
    for name in ("generator_optimizer", "discriminator_optimizer"):
        _check_optimizer(name, content[name], getattr(state, name))


def _check_numbers(name: str, values: Iterable[Any], *, low: float, high: float, count: int) -> None:
    found = list(values)
    if len(found) != count:
        raise ValueError(f"{name} has {len(found)} values for {count} scales")
    for value in found:
        if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"{name} holds {value!r}")


def _check_optimizer(name: str, saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Check the averages of Adam, whose shapes PyTorch does not compare with those of the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entry in saved["state"].items():
        if type(index) is not int or not 0 <= index < len(parameters):
            raise ValueError(f"{name} has an entry {index!r}")
        for key in _AVERAGES:
            average = entry.get(key)
            if not isinstance(average, Tensor) or average.shape != parameters[index].shape or not _is_finite(average):
                raise ValueError(f"{name} has no usable {key} of parameter {index}")
        if bool((entry[_AVERAGES[1]] < 0).any()) or not 0 <= float(entry["step"]) < math.inf:
            raise ValueError(f"{name} has an impossible average or step of parameter {index}")


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())

"""Numbers of the official implementation: the compact set in ``tests/oracles``, the full set where it is at hand."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]

COMPACT = Path(__file__).resolve().parent / "oracles"
FULL = Path(__file__).resolve().parents[1].parent / "shared" / "oracle"
RULE = "rule/"  # prefix of the entries that say which part of an array the compact set keeps
TWINS = {"generator_small": {"A_rgb_3": "A_image", "A_ss_3": "A_structure_latent"}}  # stored once


@cache
def _read(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[str, Array] = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def load(name: str) -> dict[str, Array]:
    """The compact oracle ``name``: key -> read-only array. Large arrays are cut as ``select`` does."""
    data = dict(_read(COMPACT / f"{name}.npz"))
    return data | {twin: data[key] for twin, key in TWINS.get(name, {}).items()}


def full(name: str) -> dict[str, Array]:
    """The full oracle ``name``: key -> read-only array. Skips the test where the full set is not on this machine."""
    path = FULL / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"the full oracle set ({name}.npz) is not on this machine; only the compact set is compared")
    return dict(_read(path))


def select(data: dict[str, Array], key: str, array: Array) -> Array:
    """The part of ``array`` (of the full shape) that ``data[key]`` holds: all where the key has no rule."""
    rule = data.get(RULE + key)
    if rule is None:
        return array
    return array[tuple(slice(int(start), int(stop), int(step)) for start, stop, step in rule)]

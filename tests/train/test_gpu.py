"""Training on a GPU."""

import math
from pathlib import Path

import pytest

from infgen.train.presets import Recipe
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, read_log, train

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("small_sheets")]


@pytest.mark.parametrize("recipe", [SMALL, PROJECTED, SMALL.with_values(augment="ada")])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_trains_on_a_gpu(recipe: Recipe, precision: str, tmp_path: Path) -> None:
    photos = save_landscapes(tmp_path / "photos")
    folder = train(photos, tmp_path / "a", steps=3, recipe=recipe, precision=precision, device="cuda")
    assert all(math.isfinite(value) for record in read_log(folder) for value in record.values())


def test_the_first_step_on_a_gpu_depends_on_the_seed(tmp_path: Path) -> None:
    photos = save_landscapes(tmp_path / "photos")
    one, same, other = (
        train(photos, tmp_path / name, steps=1, device="cuda", seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert read_log(one)[0] == pytest.approx(read_log(same)[0], rel=1e-3)
    assert read_log(one)[0] != pytest.approx(read_log(other)[0], rel=1e-3)

"""Training where a GPU is."""

import math
from pathlib import Path

import pytest

from infgen.train.presets import Recipe
from tests.train.photos import save_landscapes
from tests.train.runs import PROJECTED, SMALL, records, train

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("small_sheets")]


@pytest.mark.parametrize("made_by", [SMALL, PROJECTED, SMALL.changed(augment="ada")])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_trains_on_a_gpu(made_by: Recipe, precision: str, tmp_path: Path) -> None:
    photos = save_landscapes(tmp_path / "photos")
    folder = train(photos, tmp_path / "a", steps=3, made_by=made_by, precision=precision, device="cuda")
    assert all(math.isfinite(value) for record in records(folder) for value in record.values())


def test_the_first_step_on_a_gpu_resembles_no_other_seed(tmp_path: Path) -> None:
    photos = save_landscapes(tmp_path / "photos")
    one, same, other = (
        train(photos, tmp_path / name, steps=1, device="cuda", seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert records(one)[0] == pytest.approx(records(same)[0], rel=1e-3)
    assert records(one)[0] != pytest.approx(records(other)[0], rel=1e-3)

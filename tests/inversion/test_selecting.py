"""The seed whose continuation looks most like the photograph."""

from pathlib import Path

import numpy as np
import pytest

from infgen.inversion import selecting
from infgen.inversion.arrangement import Arrangement, Extension, outpainting
from infgen.inversion.placing import place
from infgen.inversion.selecting import SEED_STEP, select_seed
from infgen.inversion.window import Cover
from infgen.model.config import preset
from infgen.photo import open_photograph
from infgen.rendering.studio import Studio, open_studio
from infgen.world.world import World
from tests.train.photos import landscape
from tests.world.latents import make_latents

SIZES = preset("tiny")


@pytest.fixture(scope="module")
def studio(tiny_model: Path) -> Studio:
    return open_studio(World(), model=tiny_model)


def extend_photo(right: int = 80) -> Arrangement:
    photo = place(open_photograph(landscape(1, height=64, width=90)), height=64, horizon=0.5)
    return outpainting(photo, Extension(right=right), config=SIZES)


@pytest.fixture(scope="module")
def files(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    (photo,) = extend_photo().photographs
    cover = Cover.of(photo.target(), SIZES, period=None)
    cell = cover.x.structure.start, cover.y.structure.start
    path = tmp_path_factory.mktemp("latents") / "a.safetensors"
    make_latents(*cell, cells=cover.cells, model_sha256=studio.model_hash).save(path)
    return [path]


def test_the_seed_with_the_smallest_distance_is_chosen(
    studio: Studio, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.4, 0.1, 0.3])
    monkeypatch.setattr(selecting, "_unlikeness", lambda *_: next(scores))
    assert select_seed(extend_photo(), files, studio=studio, seed=7, candidates=4) == 7 + 2 * SEED_STEP


def test_equal_arguments_choose_equal_seeds(studio: Studio, files: list[Path]) -> None:
    found = {select_seed(extend_photo(), files, studio=studio, seed=3, candidates=4) for _ in range(2)}
    assert len(found) == 1
    assert found.pop() % SEED_STEP == 3


def test_one_candidate_is_the_seed_itself(studio: Studio, files: list[Path]) -> None:
    assert select_seed(extend_photo(), files, studio=studio, seed=3, candidates=1) == 3


def test_an_extension_too_small_to_compare_keeps_the_seed(studio: Studio, files: list[Path]) -> None:
    assert select_seed(extend_photo(right=2), files, studio=studio, seed=3) == 3


def test_rows_like_the_photographs_are_nearer_than_others() -> None:
    from infgen.perceptual import Lpips

    metric = Lpips.load("alex", None)
    picture = landscape(2, height=96, width=200)
    known = np.arange(200) < 100
    upset = picture.copy()
    upset[:, 100:] = upset[::-1, 100:]
    near, far = (selecting._unlikeness(p, (known, ~known), metric) for p in (picture, upset))
    assert near < 0.8 * far

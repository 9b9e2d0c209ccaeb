"""Python functions that continue photographs: pictures, worlds and latents in one call."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infgen
from infgen.errors import InputError
from infgen.inversion.selecting import SEED_STEP
from infgen.world.world import World

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
QUICK = {"steps": 2, "height": 48}
SMALL = {**QUICK, "scale": "work"}


def test_outpaint_returns_the_photograph_and_the_pixels_added(tiny_model: Path) -> None:
    result = infgen.outpaint(PHOTO, right=32, left=16, model=tiny_model, **SMALL)
    assert result.picture.shape == (48, 16 + 64 + 32, 3)


def test_the_photographs_own_pixels_stay(tiny_model: Path) -> None:
    result = infgen.outpaint(PHOTO, right=100, model=tiny_model, **QUICK)
    assert result.picture.shape == (60, 180, 3)
    assert np.array_equal(result.picture[:, :80], PHOTO)


def test_pillow_images_go_in_and_come_out(tiny_model: Path) -> None:
    result = infgen.outpaint(Image.fromarray(PHOTO), right=32, model=tiny_model, **SMALL)
    assert result.image.size == (96, 48)


def test_samples_lie_in_worlds_of_their_own(tiny_model: Path) -> None:
    result = infgen.outpaint(PHOTO, right=32, samples=2, seed=5, model=tiny_model, **QUICK)
    assert [world.seed % SEED_STEP for world in result.worlds] == [5, 6]
    assert not np.array_equal(*(picture[:, 70:] for picture in result.pictures))


def test_the_world_of_a_result_is_saved_with_its_latents(tiny_model: Path, tmp_path: Path) -> None:
    result = infgen.outpaint(PHOTO, right=32, model=tiny_model, **QUICK)
    expected = result.world.render(0, -20, 40, 40, model=tiny_model)
    result.world.save(tmp_path / "world.json")
    drawn = World.load(tmp_path / "world.json").render(0, -20, 40, 40, model=tiny_model)
    assert np.array_equal(drawn, expected)


def test_inbetween_joins_photographs(tiny_model: Path) -> None:
    result = infgen.inbetween([PHOTO, PHOTO[:, ::-1]], gap=40, model=tiny_model, **SMALL)
    assert result.picture.shape[1] == 64 + 40 + 64
    assert len(result.latents) == 2


def test_a_panorama_closes(tiny_model: Path) -> None:
    result = infgen.panorama(PHOTO, width=640, model=tiny_model, **SMALL)
    assert result.picture.shape[1] == 640
    assert result.world.period == 640


@pytest.mark.parametrize("arguments", [{"right": -1}, {}, {"right": 32, "samples": 0}, {"right": 32, "height": 0}])
def test_impossible_requests_are_refused_in_one_line(arguments: dict[str, int], tiny_model: Path) -> None:
    with pytest.raises(InputError) as refusal:
        infgen.outpaint(PHOTO, model=tiny_model, **{"steps": 1, **arguments})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("count", "gap"), [(1, 32), (2, 0)])
def test_photographs_that_cannot_be_joined_are_refused(count: int, gap: int, tiny_model: Path) -> None:
    with pytest.raises(InputError, match="cannot be joined"):
        infgen.inbetween([PHOTO] * count, gap=gap, model=tiny_model)

"""The Python function ``invert``, and the check of stored latents against a photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infgen
from infgen.errors import InputError
from infgen.inversion.invert import check_latents, invert
from infgen.inversion.optimise import Inversion, Settings
from infgen.inversion.placing import Placed, place
from infgen.inversion.settings import CONTINUING
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator
from infgen.photo import open_photograph
from infgen.world.world import World
from tests.train.photos import landscape, save

ONE_STEP = Settings(steps=1)
PIXELS = landscape(1, height=40, width=60)


@pytest.fixture(scope="module")
def found(tiny_model: Path) -> Inversion:
    return invert(PIXELS, tiny_model, height=40, horizon=0.5, settings=ONE_STEP)


@pytest.fixture(scope="module")
def latents(found: Inversion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latents") / "a.safetensors"
    found.latents.save(path)
    return path


def place_photo(*, height: int = 40, horizon: float = 0.5, x: int = 0) -> Placed:
    return place(open_photograph(PIXELS), height=height, horizon=horizon, x=x)


@pytest.mark.parametrize("kind", ["path", "text", "image"])
def test_files_images_and_arrays_give_the_same_latents(
    kind: str, found: Inversion, tiny_model: Path, tmp_path: Path
) -> None:
    path = save(tmp_path, "a.png", PIXELS)
    source = {"path": path, "text": str(path), "image": Image.fromarray(PIXELS)}[kind]
    other = infgen.invert(source, tiny_model, height=40, horizon=0.5, settings=ONE_STEP)
    assert other.latents.z_l.equal(found.latents.z_l)


def test_settings_for_going_on_weigh_styles_more_against_the_picture_than_those_for_recovery() -> None:
    going_on, recovery = CONTINUING.weights, Settings().weights
    assert going_on.style / going_on.pixel > 10 * recovery.style / recovery.pixel


def test_a_generator_is_used_together_with_the_hash_of_its_file(
    found: Inversion, tiny: Generator, tiny_model: Path
) -> None:
    other = invert(PIXELS, tiny, model_sha256=file_hash(tiny_model), height=40, horizon=0.5, settings=ONE_STEP)
    assert other.latents.model_sha256 == found.latents.model_sha256
    assert other.latents.z_l.equal(found.latents.z_l)


def test_a_generator_without_the_hash_of_its_file_is_refused(tiny: Generator) -> None:
    with pytest.raises(InputError, match="give model_sha256, or the model file"):
        invert(PIXELS, tiny)


def test_a_mask_leaves_unknown_pixels_without_a_say(tiny_model: Path) -> None:
    mask = np.full((40, 60), 255, np.uint8)
    mask[:, 30:] = 0
    other = PIXELS.copy()
    other[:, 30:] = 0
    settings = Settings(steps=2)
    a, b = (
        invert(picture, tiny_model, mask=mask, height=40, horizon=0.5, settings=settings) for picture in (PIXELS, other)
    )
    assert a.psnr == pytest.approx(b.psnr, abs=0.05)


def test_the_latents_make_a_world(latents: Path, found: Inversion, tiny_model: Path) -> None:
    drawn = World.from_inversions([latents]).render(0, -20, 60, 40, model=tiny_model)
    expected = ((found.reconstruction.permute(1, 2, 0).numpy() + 1) * 127.5).round()
    assert np.abs(drawn - expected).max() <= 1


def test_a_photograph_that_is_too_small_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="31 x 40 px is too small; the short side must be at least 32 px"):
        invert(np.zeros((40, 31, 3), np.uint8), tiny_model)


def test_latents_of_the_same_window_are_accepted(latents: Path, tiny: Generator, tiny_model: Path) -> None:
    check_latents(latents, place_photo(), config=tiny.config, model_sha256=file_hash(tiny_model))


OTHER_WINDOW = "give the photograph, --working-height, --horizon and width"
OTHER_COLUMN = "begin at column -2 of cells, but array begins at -1"


@pytest.mark.parametrize(
    ("change", "message"), [({"height": 64}, OTHER_WINDOW), ({"horizon": 0.1}, OTHER_WINDOW), ({"x": 16}, OTHER_COLUMN)]
)
def test_latents_of_another_window_are_refused(
    change: dict[str, float], message: str, latents: Path, tiny: Generator, tiny_model: Path
) -> None:
    with pytest.raises(InputError, match=message):
        check_latents(latents, place_photo(**change), config=tiny.config, model_sha256=file_hash(tiny_model))  # type: ignore[arg-type]


def test_latents_of_another_model_are_refused(latents: Path, tiny: Generator) -> None:
    with pytest.raises(InputError, match="give the right one with --model"):
        check_latents(latents, place_photo(), config=tiny.config, model_sha256="0" * 64)


def test_latents_of_no_circle_are_refused_for_one(latents: Path, tiny: Generator, tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"no circle.*a circle of 1024 px"):
        check_latents(latents, place_photo(), config=tiny.config, model_sha256=file_hash(tiny_model), period=1024)


def test_latents_are_refused_for_a_period_that_is_too_short(latents: Path, tiny: Generator, tiny_model: Path) -> None:
    with pytest.raises(InputError, match="period 64 px does not fit"):
        check_latents(latents, place_photo(), config=tiny.config, model_sha256=file_hash(tiny_model), period=64)

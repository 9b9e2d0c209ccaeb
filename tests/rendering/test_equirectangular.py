"""Whole planets: edges that meet, and poles that fade."""

import numpy as np
import pytest

from infgen.errors import InputError
from infgen.model.config import preset
from infgen.pixels import Pixels
from infgen.rendering import equirectangular
from infgen.rendering.equirectangular import fade_rows, latitudes, planet_world, prepare_planet
from infgen.rendering.job import Output
from infgen.rendering.studio import Studio, open_studio
from infgen.sinks import read_provenance, read_region
from infgen.sinks.grid import Box
from infgen.world.world import World
from tests.model.networks import random_generator

WIDTH = 256


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    path = tmp_path_factory.mktemp("model") / "above.safetensors"
    random_generator(preset("tiny", coordinates="texture"), seed=7).save_pretrained(path)
    return open_studio(planet_world(World(seed=3), WIDTH), model=path)


@pytest.fixture(scope="module")
def planet(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Pixels]:
    path = str(tmp_path_factory.mktemp("planet") / "a.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equirectangular, "STRIP_PX", 50)
        prepare_planet(studio, WIDTH, Output(path)).run()
    return path, read_region(path, Box(0, 0, WIDTH, WIDTH // 2))


def noise(rows: int, columns: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def test_latitudes_run_from_pole_to_pole() -> None:
    assert latitudes(4).tolist() == [67.5, 22.5, -22.5, -67.5]


def test_rows_up_to_60_degrees_stay_and_the_outermost_have_one_colour() -> None:
    pixels, degrees = noise(512, 1024), latitudes(512)
    faded = fade_rows(pixels, degrees)
    inside = np.abs(degrees) < 60
    assert np.array_equal(faded[inside], pixels[inside])
    assert (faded[[0, -1]].std(axis=1) < 1).all()


def test_fading_goes_around_the_planet() -> None:
    pixels, degrees = noise(20, 200), np.full(20, 80.0)
    rolled = fade_rows(np.roll(pixels, 70, axis=1), degrees)
    assert np.array_equal(rolled, np.roll(fade_rows(pixels, degrees), 70, axis=1))


def test_fading_keeps_the_mean_of_a_row() -> None:
    pixels, degrees = noise(9, 300), np.linspace(61, 89.9, 9)
    assert np.abs(fade_rows(pixels, degrees).mean(axis=1) - pixels.mean(axis=1)).max() < 0.5


def test_a_planet_is_the_window_of_its_cyclic_world_with_faded_rows(studio: Studio, planet: tuple[str, Pixels]) -> None:
    window = studio.scene.world.view(0, -WIDTH // 4, WIDTH, WIDTH // 2, model=studio.model_path)[...]
    whole = fade_rows(window, latitudes(WIDTH // 2))
    assert np.abs(planet[1].astype(int) - whole).max() <= 1


def test_the_edges_of_a_planet_meet(studio: Studio, planet: tuple[str, Pixels]) -> None:
    rows = slice(WIDTH // 4 - 40, WIDTH // 4 + 40)
    across = studio.scene.world.view(WIDTH - 30, -40, 60, 80, model=studio.model_path)[...]
    joined = np.hstack([planet[1][rows, -30:], planet[1][rows, :30]])
    assert np.abs(joined.astype(int) - across).max() <= 1


def test_the_provenance_names_the_projection(planet: tuple[str, Pixels]) -> None:
    provenance = read_provenance(planet[0])
    assert provenance is not None
    assert provenance["projection"] == "equirectangular"
    assert provenance["world"]["period"] == WIDTH


def test_a_model_with_a_horizon_draws_no_planet(tiny_model: str) -> None:
    studio = open_studio(planet_world(World(), WIDTH), model=tiny_model)
    with pytest.raises(InputError, match=r"has a horizon, so it draws no planet; .* such as --model planet"):
        prepare_planet(studio, WIDTH, Output("a.png"))

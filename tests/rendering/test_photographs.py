"""Photographs of a world in its pictures: own pixels inside, one picture in any tiles, the model's pixels far away."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.errors import WorldError
from infgen.geometry import Region
from infgen.model.checkpoint import file_hash
from infgen.model.config import preset
from infgen.pixels import Pixels
from infgen.rendering.photographs import open_srgb
from infgen.rendering.studio import Studio, open_studio
from infgen.world.anchoring import AnchorPhotograph, file_sha256
from infgen.world.world import World
from tests.model.networks import random_generator
from tests.world.latents import make_latents, save_latents

SIZES = preset("tiny-scales")
HALVINGS = 2  # of the inversion
WIDTH, HEIGHT = 60, 40  # px of its scale
LEFT, TOP = 6, -18


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny-scales.safetensors"
    random_generator(SIZES, seed=7).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Latents, and a photograph of twice the size of the inversion."""
    folder = tmp_path_factory.mktemp("world")
    latents = make_latents(0, -2, cells=(9, 10), model_sha256=file_hash(model), sizes=SIZES.coarser(HALVINGS))
    save_latents(folder, "a.safetensors", latents)
    random = np.random.default_rng(3)
    Image.fromarray(random.integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)).save(folder / "photo.png")
    return folder


def world_of(folder: Path, name: str = "photo.png") -> World:
    world = World.from_inversions([folder / "a.safetensors"], seed=5, reach=4)
    entry = AnchorPhotograph(file=name, sha256=file_sha256(folder / name), x=LEFT, y=TOP, w=WIDTH, h=HEIGHT)
    return world.replace(anchors=[world.anchors[0].model_copy(update={"photograph": entry})]).in_folder(folder)


@pytest.fixture(scope="module")
def studio(model: Path, folder: Path) -> Studio:
    return open_studio(world_of(folder), model=model)


def bare(studio: Studio, region: Region) -> Pixels:
    """The model's pixels of ``region``."""
    return replace(studio, scene=replace(studio.scene, photographs=None)).array(region)


@pytest.mark.parametrize("halvings", [1, 2])
def test_inside_the_photograph_its_own_pixels_are_drawn(studio: Studio, folder: Path, halvings: int) -> None:
    image = open_srgb(folder / "photo.png").image
    grown = 1 << (HALVINGS - halvings)
    shown = image.resize((WIDTH * grown, HEIGHT * grown), Image.Resampling.LANCZOS, reducing_gap=3.0)
    place = Region(LEFT * grown - (grown - 1) // 2, TOP * grown - (grown - 1) // 2, WIDTH * grown, HEIGHT * grown)
    assert np.array_equal(studio.coarser(halvings).array(place), np.asarray(shown))


def test_a_part_of_a_picture_equals_the_picture_bit_for_bit(studio: Studio) -> None:
    coarse = studio.coarser(1)
    whole = coarse.array(Region(-40, -80, 260, 170))
    assert np.array_equal(coarse.array(Region(-7, -41, 90, 61)), whole[39:100, 33:123])


def test_far_away_the_models_pixels_are_drawn(studio: Studio) -> None:
    region = Region(4000, 0, 40, 30)
    assert np.array_equal(studio.array(region), bare(studio, region))


def test_beside_the_photograph_colours_meet_its_edge(studio: Studio) -> None:
    coarse = studio.coarser(HALVINGS)
    beside = Region(LEFT + WIDTH + 6, TOP + 5, 4, HEIGHT - 10)  # beyond the feather
    photo = coarse.array(Region(LEFT + WIDTH - 20, TOP + 5, 20, HEIGHT - 10)).mean((0, 1))
    steps = [np.abs(pixels.mean((0, 1)) - photo).mean() for pixels in (coarse.array(beside), bare(coarse, beside))]
    assert steps[0] < 0.8 * steps[1]


def test_transparent_parts_of_a_photograph_show_the_model(folder: Path, model: Path) -> None:
    image = Image.open(folder / "photo.png").convert("RGBA")
    alpha = np.full((2 * HEIGHT, 2 * WIDTH), 255, np.uint8)
    alpha[:, WIDTH:] = 0
    image.putalpha(Image.fromarray(alpha))
    image.save(folder / "half.png")
    studio = open_studio(world_of(folder, "half.png"), model=model).coarser(HALVINGS)
    image_pixels = np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
    drawn = studio.array(Region(LEFT, TOP, WIDTH, HEIGHT))
    away = np.abs(drawn.astype(int) - image_pixels)
    assert away[8:-8, 8 : WIDTH // 2 - 8].max() <= 2
    assert away[:, WIDTH // 2 + 8 :].mean() > 20


def test_a_changed_file_is_refused(folder: Path, model: Path, tmp_path: Path) -> None:
    world_of(folder).save(tmp_path / "world.json")
    (tmp_path / "photo.png").write_bytes(b"another")
    with pytest.raises(WorldError, match="is not the file of this world"):
        open_studio(World.load(tmp_path / "world.json"), model=model).array(Region(0, 0, 8, 8))


def test_a_saved_world_takes_its_photograph_along(folder: Path, tmp_path: Path) -> None:
    world_of(folder).save(tmp_path / "world.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "photo.png", "world.json"]
    assert World.load(tmp_path / "world.json") == world_of(folder)


def test_another_seed_of_an_anchor_changes_its_surroundings_only(folder: Path, model: Path) -> None:
    first = world_of(folder)
    second = first.replace(anchors=[first.anchors[0].model_copy(update={"seed": 11})])
    near, far = Region(10, -20, 20, 30), Region(-500, -20, 20, 30)
    drawn = [open_studio(world, model=model).coarser(3) for world in (first, second)]
    assert not np.array_equal(drawn[0].array(near), drawn[1].array(near))
    assert np.array_equal(drawn[0].array(far), drawn[1].array(far))


def test_a_seed_without_surroundings_is_refused(folder: Path) -> None:
    anchor = World.from_inversions([folder / "a.safetensors"]).anchors[0]
    with pytest.raises(WorldError, match="no effect without reach"):
        World.create(anchors=[{**anchor.model_dump(exclude_none=True), "seed": 3}])

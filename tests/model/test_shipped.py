"""The models in the package, by name."""

import shutil
from pathlib import Path

import pytest

from infgen import Generator, InputError
from infgen.model.checkpoint import SHIPPED, file_hash, resolve, shipped_by_hash
from infgen.model.shipped import ASSETS, MODELS, shipped_name, shipped_path
from tests.check_wheel import CARDS, MAX_MODEL_BYTES


def test_the_shipped_models_together_are_small() -> None:
    assert sum(shipped_path(name).stat().st_size for name in MODELS) < MAX_MODEL_BYTES


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_loads_by_its_name_and_draws_a_picture_at_four_scales(name: str) -> None:
    assert len(Generator.from_pretrained(name).config.scales) == 4


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_has_a_card_that_names_its_file(name: str) -> None:
    assert f"`{name}.safetensors`" in (ASSETS / CARDS[name]).read_text()


def test_the_maps_behind_the_shipped_models_are_credited() -> None:
    credits = (ASSETS / "CREDITS.md").read_text()
    assert "NASA" in credits
    assert "Natural Earth" in credits


def test_no_name_means_the_default_model() -> None:
    assert resolve(None) == SHIPPED == shipped_path("scenery")


def test_a_name_wins_over_a_folder_of_that_name(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planet").mkdir()
    shutil.copy(tiny_model, tmp_path / "planet" / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert resolve("planet") == shipped_path("planet")
    assert resolve("./planet") == Path("planet", "model.safetensors")


def test_an_unknown_name_is_answered_with_the_names() -> None:
    with pytest.raises(InputError, match="model file planett does not exist; give scenery, planet, atlas"):
        resolve("planett")


def test_a_file_knows_the_name_and_a_hash_the_file() -> None:
    path = shipped_path("planet")
    assert shipped_name(path) == "planet"
    assert shipped_name(path.with_name("mine.safetensors")) is None
    assert shipped_by_hash(file_hash(path)) == path
    assert shipped_by_hash("0" * 64) is None

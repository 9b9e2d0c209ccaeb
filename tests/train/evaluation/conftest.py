"""A cache of their own, photographs and a network without weights for the tests of the evaluation."""

from pathlib import Path

import pytest

from infgen.cache import CACHE_VARIABLE
from infgen.model.config import preset
from infgen.model.generator import Generator
from tests.model.networks import random_generator
from tests.train.evaluation.stand_ins import Colours, Landscapes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, empty."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "evaluation"


@pytest.fixture
def colours() -> Colours:
    return Colours()


@pytest.fixture(scope="session")
def photos() -> Landscapes:
    return Landscapes()


@pytest.fixture(scope="session")
def tiny_scales() -> Generator:
    """Preset "tiny-scales" with random weights. Not to be changed."""
    return random_generator(preset("tiny-scales"), seed=7)

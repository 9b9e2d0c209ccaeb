"""Servers for all tests of a file: with the tiny model, and with a tiny model of four scales."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infgen.model.config import preset
from infgen.serve import create_app
from tests.model.networks import random_generator
from tests.serve.client import Client, client_of


@pytest.fixture(scope="module")
def client(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with its own data folder."""
    with client_of(create_app(tmp_path_factory.mktemp("data"), model=tiny_model)) as client:
        yield client


@pytest.fixture(scope="session")
def scaled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model file for full size, 1/2, 1/4 and 1/8: preset "tiny-scales" with random weights."""
    path = tmp_path_factory.mktemp("model") / "tiny-scales.safetensors"
    random_generator(preset("tiny-scales"), seed=7).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def scaled_client(scaled_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of that model."""
    with client_of(create_app(tmp_path_factory.mktemp("data"), model=scaled_model)) as client:
        yield client

"""A server with the tiny model, for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infgen.serve import create_app
from tests.serve.client import Client, client_of


@pytest.fixture(scope="module")
def client(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server in a folder of its own."""
    with client_of(create_app(tmp_path_factory.mktemp("data"), model=tiny_model)) as client:
        yield client

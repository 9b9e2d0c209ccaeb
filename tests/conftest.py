"""Fixtures that every test may use: a tiny generator with random parameters, and its model file."""

import os
import shutil
import tempfile
from collections.abc import Generator as Steps
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from infgen.model.config import preset
from infgen.model.generator import Generator
from tests.model.networks import random_generator
from tests.shared_files import SHARED

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of child processes: more threads than cores wait for each other
settings.register_profile("infgen", deadline=None, database=None, max_examples=60)
settings.load_profile("infgen")


@pytest.fixture(scope="session")
def tiny() -> Generator:
    """Preset "tiny" with random weights; no parameter is zero. Not to be changed: copy it first."""
    return random_generator(preset("tiny"), seed=7)


@pytest.fixture(scope="session")
def tiny_model(tiny: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of ``tiny``, float32."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def small_sheets() -> Iterator[None]:
    """Sample sheets of one patch: whole ones take longer than the runs of tests."""
    from infgen.train import sample_sheet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_sheet, "ROWS", 1)
        patch.setattr(sample_sheet, "COLUMNS", 1)
        patch.setattr(sample_sheet, "WIDE_CELLS", (11, 11))
        yield


def pytest_configure(config: pytest.Config) -> None:
    """One folder for files that take long to make; the processes that this one starts inherit it."""
    if SHARED in os.environ:
        return
    os.environ[SHARED] = folder = tempfile.mkdtemp(prefix="infgen-files-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Steps[None, pytest.TestReport, pytest.TestReport]:
    """Fail ``gpu`` tests that are skipped where a GPU is: something that they need is missing."""
    return without_silent_skip((yield), is_gpu_test=item.get_closest_marker("gpu") is not None)


def without_silent_skip(report: pytest.TestReport, *, is_gpu_test: bool) -> pytest.TestReport:
    """Change a skipped report of a GPU test to a failed one, if there is a GPU."""
    if report.skipped and is_gpu_test and torch.cuda.is_available():
        report.outcome, report.longrepr = "failed", f"skipped although a GPU is here: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip ``gpu`` tests where no GPU is."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))

"""The extras of the package, and skipped tests that must fail instead."""

import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from tests.conftest import without_silent_skip

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def requirements(extra: str) -> dict[str, Requirement]:
    """Package name -> requirement of the extra."""
    lines = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"][extra]
    return {found.name: found for found in map(Requirement, lines)}


def test_the_extra_of_classic_tensorrt_has_plugins_compiled_ahead_of_time():
    found = requirements("trt-classic")
    assert found["tensorrt"].specifier.contains("10.9")
    assert not found["tensorrt"].specifier.contains("10.8")
    assert found["infgen"].extras == {"kernels"}  # they become the plugins


def test_both_extras_of_tensorrt_can_write_the_onnx_file_they_build_from():
    assert all({"onnx", "onnxscript"} <= set(requirements(extra)) for extra in ("trt", "trt-classic"))


def skipped() -> pytest.TestReport:
    return pytest.TestReport("a", ("a", 1, "a"), {}, "skipped", ("a", 1, "no TensorRT"), "call")


@pytest.mark.parametrize(
    ("gpu", "is_gpu_test", "outcome"), [(True, True, "failed"), (True, False, "skipped"), (False, True, "skipped")]
)
def test_a_gpu_test_that_is_skipped_next_to_a_gpu_fails(
    gpu: bool, is_gpu_test: bool, outcome: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    report = without_silent_skip(skipped(), is_gpu_test=is_gpu_test)
    assert report.outcome == outcome
    assert "no TensorRT" in str(report.longrepr)

"""``infgen render`` and ``verify`` with a file of ``infgen export``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.cache import CACHE_VARIABLE
from tests.cli.conftest import Call
from tests.export.files import onnx_file, tiny_file
from tests.rendering.test_seams import assert_same_picture


@pytest.fixture
def draw(call: Call, tmp_path: Path) -> Call:
    """Render 150 x 120 px with the model that the files were made from."""
    size = ("--w", 150, "--h", 120, "--threads", 1, "--device", "cpu")
    return lambda name, *words: call("render", "--model", tiny_file(), *size, "-o", tmp_path / name, *words)


def test_an_engine_file_renders_the_same_as_pytorch(draw: Call, tmp_path: Path):
    code, _, said = draw("onnx.png", "--engine-file", onnx_file())
    assert code == 0
    assert "tiles of 101 x 101 px, batches of 1, engine onnx-cpu" in said
    draw("eager.png", "--quiet")
    one, other = (np.asarray(Image.open(tmp_path / name)) for name in ("onnx.png", "eager.png"))
    assert_same_picture(one, other)


def test_an_engine_without_a_file_makes_one(draw: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    code, _, said = draw("onnx.png", "--engine", "onnx", "--tile", 101)
    assert code == 0
    assert "tiles of 101 x 101 px, batches of 1, engine onnx-cpu" in said
    assert [path.suffix for path in (tmp_path / "cache" / "engines").iterdir()] == [".onnx"]


def test_a_picture_of_one_engine_is_verified_by_another(draw: Call, call: Call, tmp_path: Path):
    draw("onnx.png", "--engine-file", onnx_file(), "--quiet")
    code, said, _ = call("verify", tmp_path / "onnx.png", "--model", tiny_file(), "--threads", 1)
    assert code == 0, said


def test_a_picture_in_half_precision_is_verified_with_its_own_file(draw: Call, call: Call, tmp_path: Path):
    file = onnx_file(styles=4, precision="fp16")
    draw("half.png", "--engine-file", file, "--quiet")
    words = ("verify", tmp_path / "half.png", "--model", tiny_file(), "--threads", 1)
    code, _, said = call(*words)
    assert code == 2
    assert "rendered in fp16 by engine onnx-cpu; give its file with --engine-file" in said
    assert call(*words, "--engine-file", file)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "trt"), "needs an NVIDIA GPU"),
        (
            ("--engine", "abacus"),
            "engine 'abacus' is unknown; choose one of auto, eager, onnx, trt, triton://host:8001",
        ),
        (("--engine-file", "none.onnx"), "ONNX file none.onnx does not exist"),
        (("--engine-file", onnx_file, "--tile", 229), "leave --tile out, or export the model with this --tile"),
        (("--engine-file", onnx_file, "--precision", "bf16"), "precision bf16 was given"),
        (("--engine-file", onnx_file, "--provider", "cuda"), "provider cuda"),
        (("--provider", "cpu"), "the engine is not ONNX Runtime; leave --provider out"),
        (("--precision", "fp16"), "precision 'fp16' is unknown; choose one of fp32, bf16"),
    ],
)
def test_an_unsupported_engine_option_is_refused_in_one_line(
    draw: Call, tmp_path: Path, words: tuple[object, ...], message: str
):
    code, out, said = draw("out.png", *(word() if callable(word) else word for word in words))
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    assert message in said
    assert list(tmp_path.iterdir()) == []

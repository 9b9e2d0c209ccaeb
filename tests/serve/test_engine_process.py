"""A server that renders with ONNX Runtime: it makes the engine file, and its tiles are those of the command line."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.serve.app import API
from tests.serve.process import serving

pytest.importorskip("onnxruntime")


def test_tiles_of_a_server_with_onnx_runtime_are_those_of_the_command_line(scaled_model: Path, tmp_path: Path) -> None:
    cache = {"INFGEN_CACHE_DIR": str(tmp_path / "cache")}
    with (
        serving(tmp_path / "data", "--model", scaled_model, "--engine", "onnx", **cache) as process,
        process.client() as client,
    ):
        record = client.post(f"{API}/worlds", json={"world": {"seed": 3}}).json()
        answer = client.get(f"{API}/worlds/{record['id']}/{record['revision']}/tiles/0/2/-1.png")
        assert answer.status_code == 200
        served = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.int16)
        size, engines = served.shape[0], list((tmp_path / "cache").rglob("*.onnx"))
    assert engines, "the server made no engine file"
    window = ("--x", 2 * size, "--y", -size, "--w", size, "--h", size, "--seed", 3)
    words = ("render", *window, "--model", scaled_model, "-q", "-o", tmp_path / "a.png")
    subprocess.run([sys.executable, "-m", "infgen", *map(str, words)], check=True)
    drawn = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"), np.int16)
    difference = np.abs(served - drawn)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3

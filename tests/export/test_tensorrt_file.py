"""Test engine files: stored content, and refusal of incomplete files."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.engines.tensorrt_file import MAGIC, EngineRecord, pack, read_engine
from infgen.engines.tensorrt_library import Gpu
from infgen.errors import InputError, ModelFileError
from tests.export.tensorrt_double import engine_file, record

PACKED = pack(record(), b"engine" * 50)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_engine(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_engine_file_is_unpacked_to_the_same_content(tmp_path: Path):
    path = engine_file(tmp_path, b"engine", styles=4, precision="fp16")
    assert read_engine(path) == (record(styles=4, precision="fp16"), b"engine")


@given(where=st.integers(0, len(PACKED) - 1), bit=st.integers(0, 7))
def test_an_engine_file_with_one_bit_changed_is_refused(tmp_path_factory: pytest.TempPathFactory, where: int, bit: int):
    data = bytearray(PACKED)
    data[where] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "changed.engine"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        read_engine(path)
    assert "\n" not in str(caught.value)


@given(length=st.integers(len(MAGIC) + 40, len(PACKED) - 1))
def test_an_engine_file_that_is_cut_off_is_called_so(tmp_path_factory: pytest.TempPathFactory, length: int):
    path = tmp_path_factory.getbasetemp() / "short.engine"
    path.write_bytes(PACKED[:length])
    with pytest.raises(ModelFileError, match=f"is cut off: {length - 40} of "):
        read_engine(path)


def test_a_changed_byte_of_the_engine_is_called_damage(tmp_path: Path):
    path = tmp_path / "changed.engine"
    path.write_bytes(PACKED[:-1] + b"?")
    assert "was changed or damaged" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"ONNX", MAGIC, bytes(1000)])
def test_a_file_that_infgen_did_not_make_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "other.engine"
    path.write_bytes(content)
    assert "was not made by infgen; make one with: infgen export MODEL --trt -o other.engine" in refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "none.engine")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    path = tmp_path / "large.engine"
    path.write_bytes(bytes(2**20 + 1))
    assert "INFGEN_MAX_MODEL_MB" in refusal(path)


def with_header(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A file with another header and a right hash."""
    (size,) = struct.unpack_from("<Q", PACKED, 40)
    header = json.loads(PACKED[48 : 48 + size])
    change(header)
    made, path = pack(record(), b""), tmp_path / "header.engine"
    text = json.dumps(header).encode()
    body = struct.pack("<Q", len(text)) + text
    path.write_bytes(made[:8] + hashlib.sha256(body).digest() + body)
    return path


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("infgen.format", "other", "was not made by infgen"),
        ("infgen.cells", "eleven", "cannot be read"),
        ("infgen.trt.builder", "abacus", "cannot be read"),
        ("infgen.trt.gpus", "[1]", "cannot be read"),
        ("infgen.trt.gpus", "{", "cannot be read"),
        ("infgen.trt.batch", "many", "cannot be read"),
        ("infgen.trt.batch", 4, "cannot be read"),
    ],
)
def test_a_contradictory_header_is_refused(tmp_path: Path, key: str, value: object, message: str):
    assert message in refusal(with_header(tmp_path, lambda header: header.update({key: value})))


def test_a_header_that_is_no_object_is_refused(tmp_path: Path):
    body = struct.pack("<Q", 2) + b"[]"
    path = tmp_path / "list.engine"
    path.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize(
    ("other", "phrase"),
    [
        ({"version": "9"}, "built by TensorRT-RTX 9 there, TensorRT-RTX 1.2.3 here"),
        ({"builder": "classic"}, "built by TensorRT 1.2.3 there, TensorRT-RTX 1.2.3 here"),
        ({"gpus": ("8.0",)}, "GPU 8.0 there, 8.6, 8.9 here"),
        ({"batch": 8}, "batch 8 there, 4 here"),
        ({"styles": 2}, "styles 2 there, 1 here"),
        ({"precision": "fp16"}, "precision fp16 there, fp32 here"),
    ],
)
def test_a_record_lists_its_differences(other: dict[str, Any], phrase: str):
    assert record(**other).differences(record()) == [phrase]


def test_a_record_names_the_command_that_builds_it():
    made = EngineRecord(
        record(styles=4, precision="fp16").tile, "rtx", version="1", gpus=("8.9",), batch=8, workspace_mb=512
    )
    assert made.command(Path("folder/scenery.engine")) == (
        "infgen export MODEL --trt -o scenery.engine --tile 101 --max-styles 4 --precision fp16 --batch 8 --workspace 512"
    )


def test_a_classic_engine_runs_on_the_gpu_that_built_it_alone():
    made, own = record(builder="classic", gpus=("NVIDIA H200 (9.0)",)), Gpu("NVIDIA H200", (9, 0))
    assert made.runs_on(own)
    assert not made.runs_on(Gpu("NVIDIA H100", (9, 0)))


def test_an_rtx_engine_runs_on_every_gpu_of_its_capabilities():
    assert record(gpus=("8.6", "8.9")).runs_on(Gpu("any", (8, 9)))
    assert not record(gpus=("8.6", "8.9")).runs_on(Gpu("any", (12, 0)))

"""``infgen info`` as people call it: every file that infgen makes, and files of others."""

import json
import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.engines.onnx_file import OPEN_SEAL, SEAL_KEY, read_onnx, seal
from infgen.engines.tile_file import TileFile
from infgen.errors import InputError
from infgen.export.torchserve import describe_archive, export_torchserve
from infgen.model.checkpoint import file_hash
from infgen.model.config import preset
from infgen.train.checkpoint import RunFolder
from infgen.train.presets import find_recipe
from infgen.version import __version__
from tests.cli.conftest import Call
from tests.export.files import tiny_file
from tests.export.tensorrt_double import engine_file
from tests.world.latents import NO_MODEL, make_latents, save_latents


@pytest.fixture
def info(call: Call) -> Callable[..., dict[str, Any]]:
    """The output of ``infgen info`` for a file, parsed."""

    def run(*words: object) -> dict[str, Any]:
        code, out, err = call("info", *words)
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    return run


Info = Callable[..., dict[str, Any]]


def refusal(call: Call, path: Path) -> str:
    code, out, err = call("info", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


# What infgen makes


def test_an_onnx_file_names_its_tile_size_and_model(info: Info, tmp_path: Path) -> None:
    found = info(sealed(tmp_path / "a.onnx", *record(styles="4", precision="fp16")))
    assert found["model_sha256"] == NO_MODEL
    kept = {"kind": "ONNX file", "tile_px": [101, 101], "styles": 4, "styles_per": "batch", "precision": "fp16"}
    assert found | kept | {"infgen": __version__} == found


def test_no_runtime_is_needed_to_describe_an_onnx_file(
    info: Info, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    assert info(sealed(tmp_path / "a.onnx", *record()))["kind"] == "ONNX file"


def test_an_engine_file_names_its_gpus(info: Info, tmp_path: Path) -> None:
    found = info(engine_file(tmp_path, b"engine"))
    assert (found["kind"], found["gpus"], found["batch"]) == ("TensorRT engine", ["8.6", "8.9"], 4)
    assert found["built_by"].startswith("TensorRT")
    assert found["precision"] == "fp32"


def test_latents_say_where_their_photograph_lies(info: Info, tmp_path: Path) -> None:
    path = save_latents(tmp_path, "a", make_latents(3, -4, cells=(8, 9)))
    found = info(path)
    assert (found["kind"], found["sha256"], found["model_sha256"]) == ("latents", file_hash(path), NO_MODEL)
    window = make_latents(3, -4, cells=(8, 9)).pixels
    assert found["region"] == {"x": window.x.start, "y": window.y.start, "w": window.x.size, "h": window.y.size}


def test_an_archive_names_its_model(info: Info, tmp_path: Path) -> None:
    export_torchserve(tiny_file(), tmp_path / "scenery.mar")
    assert info(tmp_path / "scenery.mar") == {
        "kind": "TorchServe archive",
        "name": "scenery",
        "model": tiny_file().name,
        "infgen": __version__,
    }


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A run of two steps whose log ends in half a record."""
    folder = RunFolder(tmp_path / "a")
    folder.create(find_recipe("tiny"))
    folder.log_file.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "lo')
    return folder


def test_the_folder_of_a_run_shows_its_progress(info: Info, run_folder: RunFolder) -> None:
    found = info(run_folder.path)
    assert found == {"kind": "training run", "step": 2, "recipe": find_recipe("tiny").to_dict(), "model": None}
    shutil.copy(tiny_file(), run_folder.model)
    assert info(run_folder.path)["model"]["sha256"] == file_hash(tiny_file())


def test_of_a_long_log_only_the_end_is_read(info: Info, run_folder: RunFolder) -> None:
    run_folder.log_file.write_text("".join(f'{{"step": {i}, "loss": 0.5}}\n' for i in range(1, 20_001)))
    assert info(run_folder.path)["step"] == 20_000


def test_half_a_character_in_a_name_is_printed_as_its_number(info: Info, run_folder: RunFolder) -> None:
    run_folder.recipe.write_text('{"name": "\\ud800"}')
    assert info(run_folder.path)["recipe"] == {"name": "\ud800"}


def test_only_worlds_and_pictures_hold_a_world(call: Call, run_folder: RunFolder, tmp_path: Path) -> None:
    for path in (sealed(tmp_path / "a.onnx", *record()), save_latents(tmp_path, "b", make_latents())):
        code, _, err = call("info", "--only-world", path)
        assert (code, err) == (2, f"Error: {path} is not a world or a picture; leave out --only-world\n")
    assert call("info", "--only-world", run_folder.path)[0] == 2


# What others made


@pytest.mark.parametrize("content", [b"", b"onnx", b"\x80\x04.", b"PK\3\4" + bytes(40), bytes(1000)])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.onnx", "was not made by infgen; make one with: infgen export MODEL --onnx"),
        ("a.engine", "was not made by infgen; make one with: infgen export MODEL --trt -o a.engine"),
        ("a.mar", "was not made by infgen; make one with: infgen export MODEL --torchserve -o a.mar"),
    ],
)
def test_a_file_of_another_program_is_refused(content: bytes, name: str, said: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(call, tmp_path / name)


@pytest.mark.parametrize("name", ["a.onnx", "a.engine", "a.mar", "a.safetensors", "a" * 300, "a" * 300 + ".mar"])
def test_a_missing_file_is_refused_in_one_line(name: str, call: Call, tmp_path: Path) -> None:
    refusal(call, tmp_path / name)


def test_a_folder_of_another_program_is_refused(call: Call, tmp_path: Path) -> None:
    assert "holds no training run (recipe.json is missing)" in refusal(call, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "{" * 2**20 + " "])
def test_a_damaged_recipe_is_refused(text: str, call: Call, run_folder: RunFolder) -> None:
    run_folder.recipe.write_text(text)
    assert str(run_folder.recipe) in refusal(call, run_folder.path)


def message(*fields: tuple[int, bytes]) -> bytes:
    """A protobuf message with these fields of up to 2^14 bytes."""
    sizes = [bytes([len(content) & 127 | 128, len(content) >> 7]) for _, content in fields]
    return b"".join(bytes([n << 3 | 2]) + size + content for (n, content), size in zip(fields, sizes, strict=True))


def sealed(path: Path, *metadata: tuple[str, str], more: bytes = b"") -> Path:
    """A sealed file with ``metadata``; ``more``: bytes before them."""
    entries = [(14, message((1, k.encode()), (2, v.encode()))) for k, v in metadata]
    end = b"\x0a\x0d" + SEAL_KEY.encode() + b"\x12\x40" + OPEN_SEAL.encode()
    path.write_bytes(seal(more + message(*entries) + b"\x72" + bytes([len(end)]) + end))
    return path


def record(**changes: str) -> list[tuple[str, str]]:
    """The metadata of a file of the tiny model, with changes."""
    file = TileFile(
        preset("tiny"), (11, 11), styles=1, precision="fp32", model_sha256=NO_MODEL, infgen_version=__version__
    )
    entries = file.to_metadata() | {f"infgen.{name}": value for name, value in changes.items()}
    return list(entries.items())


def test_metadata_are_found_among_fields_of_every_kind(info: Info, tmp_path: Path) -> None:
    others = b"\x08\x8a\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + message((2, b"producer"))
    assert info(sealed(tmp_path / "a.onnx", *record(), more=others))["styles"] == 1


@pytest.mark.parametrize(
    "more",
    [b"\x0b", b"\x08" + b"\xff" * 10, b"\x0a\xff\xff\x7f", b"\x08\x01" * 10_000, b"\x72\x00", b"\x72\x03\x0a\x01\xff"],
)
def test_a_sealed_file_that_is_no_model_is_refused(more: bytes, call: Call, tmp_path: Path) -> None:
    assert "is no ONNX model; make one with" in refusal(call, sealed(tmp_path / "a.onnx", more=more))


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": "0x11"},
        {"cells": "11x9999999"},
        {"cells": "9" * 5000 + "x1"},
        {"styles": "0"},
        {"styles": "17"},
        {"config": "[" * 100_000},
        {"config": "7"},
        {"config": '{"a": 1}'},
        {"precision": "fp8"},
    ],
)
def test_a_sealed_file_with_an_illegal_record_is_refused(changes: dict[str, str], call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    short = [(k, v[:10_000]) for k, v in record(**changes)]
    assert "has metadata that cannot be read" in refusal(call, sealed(path, *short))


@settings(max_examples=200)
@given(content=st.binary(max_size=200))
def test_any_bytes_before_the_seal_are_described_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = sealed(tmp_path_factory.getbasetemp() / "any.onnx", *record(), more=content)
    with suppress(InputError):
        assert read_onnx(path)[0].styles == 1


def archive(path: Path, manifest: bytes, *, size: int | None = None, method: int = 0) -> Path:
    """A zip that begins with ``manifest``."""
    name = b"MAR-INF/MANIFEST.json"
    length = len(manifest) if size is None else size
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, method, 0, 0, 0, length, length, len(name), 0)
    path.write_bytes(head + name + manifest)
    return path


@pytest.mark.parametrize(
    ("manifest", "options"),
    [
        (b"{}", {}),
        (b"[]", {}),
        (b"\xff", {}),
        (b"[" * 60_000, {}),
        (b'{"archiverVersion": 1, "model": {}}', {}),
        (b'{"archiverVersion": "0.12.0", "model": {"modelName": "a", "serializedFile": "b"}}', {}),
        (b'{"archiverVersion": "infgen 1", "model": 5}', {}),
        (b"{}", {"size": 2**31}),
        (b"{}", {"method": 8}),
    ],
)
def test_an_archive_with_another_manifest_is_refused(manifest: bytes, options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not made by infgen"):
        describe_archive(archive(tmp_path / "a.mar", manifest, **options))


@pytest.mark.parametrize("words", [(), ("bench",), ("data",)])
def test_a_group_without_a_command_prints_its_help(call: Call, words: tuple[str, ...]) -> None:
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")
    assert "Commands:" in out or "Pictures:" in out


def test_a_device_that_pytorch_lacks_is_one_short_line(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    words = ("--w", 9, "--h", 9, "--model", tiny_model, "--device", "xla", "-o", tmp_path / "a.png")
    code, _, err = call("render", *words)
    assert code == 2
    assert "device 'xla' cannot be used here" in err
    assert len(err) < 200

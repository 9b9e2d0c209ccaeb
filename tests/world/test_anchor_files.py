"""Test files of anchored latents: round trips and refusals."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from infgen.errors import WorldError
from infgen.geometry import Span, Window
from infgen.world.anchors import AnchoredLatents
from tests.world.latents import S, make_latents, save_latents

PERIOD = 60 * S


def test_latents_survive_writing_and_reading(tmp_path: Path):
    latents = make_latents(3, -4, period=PERIOD)
    read = AnchoredLatents.load(save_latents(tmp_path, "a", latents))
    assert (read.cell_x, read.cell_y, read.period, read.model_sha256) == (3, -4, PERIOD, latents.model_sha256)
    pairs = [(read.z_l, latents.z_l), (read.z_g, latents.z_g), (read.w_plus, latents.w_plus)]
    assert all(torch.equal(a, b) for a, b in [*pairs, *zip(read.noises, latents.noises, strict=True)])


def test_equal_latents_give_equal_files(tmp_path: Path):
    files = [save_latents(tmp_path, str(i), make_latents()).read_bytes() for i in range(3)]
    assert files[0] == files[1] == files[2]


def test_latents_say_which_cells_and_pixels_they_are_of():
    latents = make_latents(3, -4, cells=(8, 9))
    assert (latents.cells, latents.levels, latents.local_channels) == ((8, 9), 4, 6)
    assert latents.pixels == Window(Span(3 * S + 30, 9 * S - 75), Span(-4 * S + 30, 8 * S - 75))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z_l": torch.zeros(6, 28, 60)}, "it gives no pixels"),
        ({"z_l": torch.zeros(33, 32)}, "it gives no pixels"),
        (
            {"z_l": torch.zeros(6, 33, 33)},
            r"noise.0 has shape \(1, 13, 15\); with the shapes of the others \(1, 15, 15\)",
        ),
        ({"z_l": torch.full((6, 32, 33), torch.nan)}, "z_l holds values that are not finite"),
        ({"noises": make_latents().noises[:-1]}, "7 noises given"),
        ({"noises": ()}, "0 noises given"),
        ({"z_g": torch.zeros(2, 16)}, r"z_g has shape \(2, 16\)"),
        ({"w_plus": torch.zeros(9, 8)}, r"w_plus has shape \(9, 8\); with the shapes of the others \(9, 16\)"),
        ({"model_sha256": "abc"}, "model_sha256 is 'abc'; 64 hexadecimal digits"),
        ({"cell_x": 2**40}, "cell_x is 1099511627776"),
        ({"cell_y": 1.5}, "cell_y is 1.5"),
        ({"period": PERIOD + 1}, "allowed are multiples of 16 px from 528"),
        ({"period": 512}, "allowed are multiples of 16 px from 528"),
    ],
)
def test_latents_that_contradict_each_other_are_refused(change: dict[str, object], words: str):
    with pytest.raises(WorldError, match=words):
        replace(make_latents(), **change)


def rewritten(path: Path, **changes: object) -> Path:
    """Rewrite the file with other entries."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    entries = json.loads(header["__metadata__"]["infgen"]) | changes
    header["__metadata__"]["infgen"] = json.dumps({k: v for k, v in entries.items() if v != "left out"})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "holds no latents of an inverted photograph"),
        ({"version": 2}, "has version 2; this infgen reads version 1: update infgen"),
        ({"cell_x": "left out"}, "cell_x, cell_y, model_sha256, period are needed"),
        ({"more": 1}, "cell_x, cell_y, model_sha256, period are needed"),
        ({"cell_x": "x"}, "cell_x is 'x'"),
        ({"model_sha256": None}, "model_sha256 is None"),
    ],
)
def test_a_file_with_other_entries_is_refused_by_name(tmp_path: Path, changes: dict[str, object], words: str):
    path = rewritten(save_latents(tmp_path, "a", make_latents()), **changes)
    with pytest.raises(WorldError, match=words) as refusal:
        AnchoredLatents.load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(WorldError, match=r"anchor file .* does not exist"):
        AnchoredLatents.load(tmp_path / "none")


def test_a_model_file_is_refused(tiny_model: Path):
    with pytest.raises(WorldError, match="holds no latents of an inverted photograph"):
        AnchoredLatents.load(tiny_model)


@pytest.mark.parametrize("keep", [0, 7, 300, -1])
def test_a_damaged_file_is_refused(tmp_path: Path, keep: int):
    path = save_latents(tmp_path, "a", make_latents())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WorldError, match="is damaged or not a safetensors file"):
        AnchoredLatents.load(path)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").write_bytes(bytes(2**20 + 1))
    monkeypatch.setenv("INFGEN_MAX_ANCHOR_MB", "1")
    with pytest.raises(WorldError, match="over the limit of 1048576"):
        AnchoredLatents.load(tmp_path / "a")


def test_other_tensors_are_refused(tmp_path: Path):
    path = save_latents(tmp_path, "a", make_latents())
    entry = {"infgen": json.dumps(json.loads(_metadata(path)))}
    save_file({"z_l": torch.zeros(1, dtype=torch.float64), "z_g": torch.zeros(1), "x": torch.zeros(1)}, path, entry)
    with pytest.raises(WorldError, match=r"holds x F32, z_g F32, z_l F64; float32 z_l, z_g, w_plus, noise\.0"):
        AnchoredLatents.load(path)


def _metadata(path: Path) -> str:
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size])["__metadata__"]["infgen"]


@given(st.binary(max_size=300))
def test_no_bytes_give_anything_but_latents_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "fuzzed.latents"
    path.write_bytes(content)
    with pytest.raises(WorldError) as refusal:
        AnchoredLatents.load(path)
    assert "\n" not in str(refusal.value)

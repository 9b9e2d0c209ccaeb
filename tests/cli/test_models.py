"""Shipped models by name on the command line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from infgen.model.checkpoint import file_hash
from infgen.model.shipped import MODELS, shipped_path
from infgen.sinks import read_provenance
from tests.cli.conftest import Call

SMALL = ("--w", 40, "--h", 24, "--scale", "1/8", "--quiet")
TAKES_A_MODEL = (
    "render",
    "styles",
    "video",
    "outpaint",
    "serve",
    "export",
    "resample",
    "verify",
    "train",
    "bench render",
    "eval",
    "info",
)


def model_of(path: Path) -> str:
    provenance = read_provenance(path)
    assert provenance is not None
    return str(provenance["model"]["sha256"])


def test_a_picture_of_a_named_model_is_verified_without_naming_it(call: Call, tmp_path: Path) -> None:
    assert call("render", "--model", "planet", *SMALL, "-o", tmp_path / "a.png")[0] == 0
    assert model_of(tmp_path / "a.png") == file_hash(shipped_path("planet"))
    assert call("verify", tmp_path / "a.png", "--quiet") == (0, "", "")


def test_the_variable_names_the_model_and_the_option_wins(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFGEN_MODEL", "planet")
    assert call("render", *SMALL, "-o", tmp_path / "a.png")[0] == 0
    assert call("render", *SMALL, "--model", "scenery", "-o", tmp_path / "b.png")[0] == 0
    assert [model_of(tmp_path / name) for name in ("a.png", "b.png")] == [
        file_hash(shipped_path(name)) for name in ("planet", "scenery")
    ]


@pytest.mark.parametrize("command", TAKES_A_MODEL)
def test_the_help_of_every_command_with_a_model_lists_the_names(call: Call, command: str) -> None:
    text = " ".join(call(*command.split(), "--help")[1].split())
    assert ", ".join(MODELS) in text


def test_info_describes_a_model_by_its_name(call: Call) -> None:
    found = json.loads(call("info", "planet")[1])
    assert found["sha256"] == file_hash(shipped_path("planet"))
    assert "rows_px" not in found  # no horizon: every row was trained


def test_a_layout_on_a_model_without_a_horizon_is_rendered_with_one_line_about_it(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"styles": {"a": {"seed": 1}}}')
    words = ("--styles", tmp_path / "a.json", "--w", 40, "--h", 24, "--scale", "1/8", "-o", tmp_path / "a.png")
    code, _, err = call("render", "--model", "planet", *words)
    assert code == 0
    assert (
        err.count(f"planet.safetensors has no horizon: y = 0 of {tmp_path / 'a.json'} is a row like any other\n") == 1
    )


def test_a_horizon_for_a_model_without_one_is_refused(call: Call, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "a.png")
    code, _, err = call("outpaint", tmp_path / "a.png", "--right", 9, "--model", "planet", "--horizon", 0.4)
    assert code == 2
    assert "--horizon 0.4 is given and model planet has no horizon; omit it" in err

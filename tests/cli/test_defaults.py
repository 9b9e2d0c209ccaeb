"""Defaults from the environment and from files: precedence, and errors that name the place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Call

Sizes = Callable[..., tuple[int, int]]


@pytest.fixture
def size(call: Call, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sizes:
    """Render in ``tmp_path``; gives the size of the picture."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, int]:
        code, _, err = call("render", "--model", tiny_model, "-q", "--h", 20, "-o", "a.png", *words)
        assert (code, err) == (0, "")
        with Image.open("a.png") as image:
            found = image.size
        Path("a.png").unlink()
        return found

    return run


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    size: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("infgen.toml").write_text("[render]\nw = 30\n")
    assert size() == (30, 20)
    monkeypatch.setenv("INFGEN_RENDER_W", "31")
    assert size() == (31, 20)
    assert size("--w", 32) == (32, 20)


def test_the_project_file_of_a_folder_above_counts(
    size: Sizes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pyproject.toml").write_text("[tool.infgen.render]\nw = 33\n")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    assert size() == (33, 20)


def test_a_shared_entry_applies_to_all_commands(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("infgen.toml").write_text('model = "missing.safetensors"\n')
    for words in (("render", "--w", 9, "--h", 9), ("styles",), ("video", "--to", "9,9")):
        code, _, err = call(*words)
        assert (code, "missing.safetensors" in err, err) == (2, True, err)


FAULTY = {
    "unknown key": ("[render]\nwidht = 3\n", "[render]: unknown entry 'widht'"),
    "near key": ("[render]\ntiles = 3\n", "did you mean tile?"),
    "unknown table": ("[rendr]\nw = 3\n", "unknown entry [rendr]; did you mean render?"),
    "unknown shared": ('modle = "a"\n', "unknown entry 'modle'; did you mean model?"),
    "text for a number": ('[render]\nw = "3"\n', "[render] w is '3'; a whole number is needed"),
    "true for a number": ("[render]\nw = true\n", "[render] w is True; a whole number is needed"),
    "number for true": ("[render]\nresume = 1\n", "[render] resume is 1; true or false is needed"),
    "no choice": ('[render]\nw = 9\nprecision = "fp8"\n', "[render] precision: 'fp8' is not one of"),
    "no TOML": ("[render\n", "cannot be read"),
}


@pytest.mark.parametrize(("text", "message"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_file_is_named_with_the_entry(
    text: str, message: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("infgen.toml").write_text(text)
    code, out, err = call("render", "--h", 20)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(tmp_path / "infgen.toml") in err
    assert message in err


def test_two_files_that_disagree_are_both_named(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("infgen.toml").write_text("[render]\nw = 3\n")
    Path("pyproject.toml").write_text("[tool.infgen.render]\nw = 4\n")
    code, _, err = call("render", "--h", 20)
    assert code == 2
    assert (
        f"w is 3 in {tmp_path}/infgen.toml, [render] w and 4 in {tmp_path}/pyproject.toml, [tool.infgen.render] w"
        in err
    )


def test_a_bad_variable_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_RENDER_W", "wide")
    code, _, err = call("render", "--h", 20)
    assert (code, "environment variable INFGEN_RENDER_W: 'wide' is not a valid integer" in err) == (2, True)

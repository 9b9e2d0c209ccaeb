"""--json, pipes, former names of options, random seeds, and the small commands."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infgen.cli.answer import Answer
from infgen.environment import describe_environment
from tests.cli.conftest import Call

SIZE = ("--w", 60, "--h", 40)


def answer(out: str) -> dict[str, Any]:
    """The answer, checked against the schema."""
    Answer.model_validate_json(out)
    found: dict[str, Any] = json.loads(out)
    assert found["schema"] == 1
    return found


@pytest.fixture
def picture(render: Call, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    assert render(*SIZE, "-o", path)[0] == 0
    return path


def test_a_render_answers_with_estimate_and_files(render: Call, tmp_path: Path) -> None:
    code, out, _ = render(*SIZE, "-o", tmp_path / "a.png", "--json")
    found = answer(out)
    assert (code, found["command"], found["result"]) == (0, "render", {"files": [str(tmp_path / "a.png")]})
    assert found["estimate"]["window"] == {"x": 0, "y": -20, "w": 60, "h": 40}


def test_a_dry_run_answers_with_the_estimate_only(render: Call, tmp_path: Path) -> None:
    found = answer(render(*SIZE, "-o", tmp_path / "a.png", "--json", "--dry-run")[1])
    assert (found["estimate"]["pixels"], "result" in found) == (2400, False)


@pytest.mark.parametrize(
    ("words", "kind"), [((*SIZE, "--seed", 2**64), "LimitError"), (("--w", 5), "MissingParameter")]
)
def test_a_failure_answers_with_the_error(words: tuple[object, ...], kind: str, render: Call) -> None:
    code, out, err = render(*words, "--json")
    error = answer(out)["error"]
    assert (code, error["exit_code"], error["kind"]) == (2, 2, kind)
    assert err == f"Error: {error['message']}\n"


def test_several_files_are_described_and_verified_together(call: Call, picture: Path, tiny_model: Path) -> None:
    described = answer(call("info", picture, tiny_model, "--json")[1])["result"]["files"]
    assert [one["kind"] for one in described] == ["picture", "model"]
    assert [one["kind"] for one in json.loads(call("info", picture, tiny_model)[1])] == ["picture", "model"]
    code, out, _ = call("verify", picture, picture, "--model", tiny_model, "--json", "-q")
    assert (code, [one["agrees"] for one in answer(out)["result"]["files"]]) == (0, [True, True])


def test_a_difference_answers_with_result_and_error(call: Call, picture: Path, tiny_model: Path) -> None:
    with Image.open(picture) as image:
        text = image.info
        changed = Image.new("RGB", image.size)
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text["XML:com.adobe.xmp"])
    changed.save(picture, pnginfo=info)
    code, out, err = call("verify", picture, "--model", tiny_model, "--json", "-q")
    found = answer(out)
    assert (code, found["result"]["files"][0]["agrees"], found["error"]["exit_code"]) == (1, False, 1)
    assert "differs from its provenance" in err


def run(*words: object, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "infgen", *map(str, words)]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=120)


def test_a_picture_goes_through_pipes(tiny_model: Path) -> None:
    made = run("render", "--model", tiny_model, *SIZE, "-q", "-o", "-")
    assert (made.returncode, made.stderr) == (0, b"")
    assert Image.open(io.BytesIO(made.stdout)).size == (60, 40)
    described = run("info", "-", data=made.stdout)
    assert json.loads(described.stdout)["kind"] == "picture"
    assert not [name for name in os.listdir("/tmp") if name == "stdout.png"]


@pytest.mark.parametrize("option", [("--json",), ("--seeds", "0-1"), ("--format", "dzi")])
def test_a_pipe_takes_one_picture_and_nothing_else(option: tuple[str, ...], render: Call) -> None:
    code, _, err = render(*SIZE, "-o", "-", *option)
    assert (code, f"-o - {'with' if '--format' in option else 'and'} {option[0]}" in err) == (2, True)


def test_a_closed_pipe_ends_the_command_without_a_message(tiny_model: Path) -> None:
    made = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m infgen schema world 2>err | true; echo ${{PIPESTATUS[0]}}; cat err"],
        capture_output=True,
        check=False,
        timeout=120,
        cwd=tiny_model.parent,
    )
    assert made.stdout in (b"1\n", b"0\n")


def test_a_random_seed_is_printed_and_used(call: Call, render: Call, tmp_path: Path) -> None:
    _, _, err = render(*SIZE, "-o", tmp_path / "a.png", "--seed", "random")
    seed = int(err.removeprefix("seed "))
    assert json.loads(call("info", tmp_path / "a.png", "--only-world")[1])["seed"] == seed


def test_a_former_name_works_and_says_so(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    words = ("--seeds", "1", "--w", 32, "--h", 32, "--model", tiny_model, "-o", tmp_path / "a.png", "-q")
    code, _, err = call("styles", *words)
    assert (code, err.splitlines()[0][:43]) == (0, "note: --seeds is now called --style-seeds; ")


@pytest.mark.parametrize(("shell", "part"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_completion_script_is_printed(shell: str, part: str, call: Call) -> None:
    code, out, _ = call("completion", shell)
    assert (code, part in out, "_INFGEN_COMPLETE" in out) == (0, True, True)


def test_words_are_completed() -> None:
    variables = os.environ | {
        "_INFGEN_COMPLETE": "bash_complete",
        "COMP_WORDS": "infgen render --sty",
        "COMP_CWORD": "2",
    }
    made = subprocess.run(
        [sys.executable, "-m", "infgen"], env=variables, capture_output=True, check=False, timeout=120
    )
    assert made.stdout.decode().split() == ["plain,--styles", "plain,--style-seed"]


def test_the_environment_is_described_without_names(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_TOKEN", "a-very-secret-token")
    variables = sorted(name for name in os.environ if name.startswith("INFGEN_"))
    code, out, _ = call("env", "--json")
    found = answer(out)["result"]
    assert (code, found["variables"], "secret" in out) == (0, variables, False)
    assert set(found) == set(describe_environment())
    assert call("env")[1].startswith("infgen: ")

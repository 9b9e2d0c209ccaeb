"""``infgen planet``."""

from pathlib import Path

import pytest
from PIL import Image

from infgen.model.config import preset
from tests.cli.conftest import Call
from tests.model.networks import random_generator


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "above.safetensors"
    random_generator(preset("tiny", coordinates="texture"), seed=7).save_pretrained(path)
    return path


def test_a_planet_is_twice_as_wide_as_tall_and_is_named_after_its_content(
    call: Call, above: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("planet", "--w", 128, "--seed", 5, "--model", above, "--quiet") == (0, "planet-128x64-seed5.png\n", "")
    with Image.open("planet-128x64-seed5.png") as picture:
        assert picture.size == (128, 64)
    code, _, err = call("verify", "planet-128x64-seed5.png", "--model", above)
    assert code == 2
    assert "is a planet, whose rows are averaged near the poles" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--w", 100), "period 100 px is not a multiple of this model's cell of 16 px; nearest are 96 and 112"),
        (("--w", 0), "width 0 px is not possible"),
        (("--w", 128, "-o", "a.txt"), "a.txt"),
        (("--w", 128, "--resume", "--restart"), "--resume and --restart are both given"),
    ],
)
def test_what_is_no_planet_is_refused_in_one_line(
    call: Call, above: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("planet", "--model", above, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []

"""``infgen styles``: which seeds are named, and the sheet."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from infgen.cli import styles
from infgen.cli.styles import command
from infgen.errors import exit_code
from infgen.geometry import Region
from infgen.rendering import sheet
from infgen.rendering.sheet import LABEL_PX
from infgen.rendering.studio import open_studio
from infgen.world.world import World

SIZE = ("--w", 48, "--h", 40)


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in (*words, "--quiet")])


def refusal(*words: object) -> str:
    """The message with which bad input is refused."""
    result = run(*words)
    assert result.exception is not None
    assert exit_code(result.exception) == 2
    return str(result.exception)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_each_picture_is_the_world_in_that_style_below_its_seed(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "styles.png"
    result = run("--seeds", "3,-7,5", *SIZE, "--columns", 2, "--model", tiny_model, "--world-seed", 4, "-o", path)
    assert result.output == f"{path}\n"
    found = pixels(path)
    assert found.shape == (2 * (40 + LABEL_PX) + 4, 2 * 48 + 4, 3)
    world = World(seed=4).changed(style_seed=5)
    drawn = open_studio(world, model=tiny_model).array(Region(-24, -20, 48, 40))
    assert np.array_equal(found[-40:, :48], drawn)


def test_pictures_are_labelled(tiny_model: Path, tmp_path: Path):
    assert run("--seeds", "8", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.png").exit_code == 0
    assert pixels(tmp_path / "a.png")[:LABEL_PX].min() < 128


def test_a_sheet_may_be_a_jpeg(tiny_model: Path, tmp_path: Path):
    assert run("--seeds", "0-1", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.jpg").exit_code == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"


def test_with_truncation_0_all_styles_are_one(tiny_model: Path, tmp_path: Path):
    words = ("--seeds", "0-1", *SIZE, "--truncation", 0, "--model", tiny_model, "-o", tmp_path / "a.png")
    assert run(*words).exit_code == 0
    found = pixels(tmp_path / "a.png")[LABEL_PX:]
    assert np.array_equal(found[:, :48], found[:, 52:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "a.gif"), "no known ending"),
        (("-o", "none/a.png"), "does not exist"),
        (("-o", "a.png", "--w", 0), "width 0 px"),
        (("-o", "a.png", "--w", 20000, "--h", 20000), "over the limit of 100000000"),
        (("-o", "a.jpg", "--columns", 1, "--seeds", "0-999"), "write .png instead"),
        (("-o", "a.png", "--truncation", 3), "truncation is 3.0"),
        (("-o", "a.png", "--seeds", "18446744073709551616"), "style.seed is 18446744073709551616"),
        (("-o", "a.png", "--world-seed", 2**64), "seed is 18446744073709551616"),
        (("-o", "a.png", "--model", "none.safetensors"), "none.safetensors"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    words: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    text = refusal(*words)
    assert message in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_sheet_that_failed(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(image: object, *words: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert run("--seeds", "0", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.png").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_a_sheet_counts_all_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sheet, "MAX_SHEET_PX", 10_000)
    monkeypatch.setattr(styles, "open_studio", lambda *_, **__: pytest.fail("the model was loaded"))
    assert "4 pictures of 48 x 40 px" in refusal("--seeds", "0-3", *SIZE, "-o", tmp_path / "a.png")

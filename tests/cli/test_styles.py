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
from infgen.model.config import GeneratorConfig
from infgen.rendering import render, sheet
from infgen.rendering.likeness import view_halvings
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
    result = run("--style-seeds", "3,-7,5", *SIZE, "--columns", 2, "--model", tiny_model, "--seed", 4, "-o", path)
    assert result.output == f"{path}\n"
    found = pixels(path)
    assert found.shape == (2 * (40 + LABEL_PX) + 4, 2 * 48 + 4, 3)
    world = World(seed=4).replace(style_seed=5)
    drawn = open_studio(world, model=tiny_model).array(Region(-24, -20, 48, 40))
    assert np.array_equal(found[-40:, :48], drawn)


def test_pictures_are_labelled(tiny_model: Path, tmp_path: Path):
    assert run("--style-seeds", "8", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.png").exit_code == 0
    assert pixels(tmp_path / "a.png")[:LABEL_PX].min() < 128


def test_a_sheet_may_be_a_jpeg(tiny_model: Path, tmp_path: Path):
    assert run("--style-seeds", "0-1", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.jpg").exit_code == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"


def test_with_truncation_0_all_styles_are_one(tiny_model: Path, tmp_path: Path):
    words = ("--style-seeds", "0-1", *SIZE, "--truncation", 0, "--model", tiny_model, "-o", tmp_path / "a.png")
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
        (("-o", "a.jpg", "--columns", 1, "--style-seeds", "0-999"), "write .png instead"),
        (("-o", "a.png", "--truncation", 3), "truncation is 3.0"),
        (("-o", "a.png", "--style-seeds", "18446744073709551616"), "style.seed is 18446744073709551616"),
        (("-o", "a.png", "--seed", 2**64), "seed is 18446744073709551616"),
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
    assert run("--style-seeds", "0", *SIZE, "--model", tiny_model, "-o", tmp_path / "a.png").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_a_sheet_counts_all_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sheet, "MAX_SHEET_PX", 10_000)
    monkeypatch.setattr(styles, "open_studio", lambda *_, **__: pytest.fail("the model was loaded"))
    assert "4 pictures of 48 x 40 px" in refusal("--style-seeds", "0-3", *SIZE, "-o", tmp_path / "a.png")


# Grids of structure against style


def test_a_grid_has_a_row_for_each_world_and_a_column_for_each_style(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "grid.png"
    result = run("--world-seeds", "4-5", "--style-seeds", "3,-7", *SIZE, "--model", tiny_model, "-o", path)
    assert result.exit_code == 0, result.output
    found = pixels(path)
    assert found.shape == (2 * (40 + LABEL_PX) + 4, 2 * 48 + 4, 3)
    world = World(seed=5).replace(style_seed=-7)
    assert np.array_equal(found[-40:, -48:], open_studio(world, model=tiny_model).array(Region(-24, -20, 48, 40)))


@pytest.mark.parametrize("words", [("--seed", 1), ("--like", "a.jpg"), ("--columns", 3)])
def test_a_grid_takes_no_options_of_other_sheets(words: tuple[object, ...], tmp_path: Path):
    assert "--world-seeds has its own worlds" in refusal("--world-seeds", "0-1", *words, "-o", tmp_path / "a.png")


def test_a_grid_that_is_too_large_is_refused(tmp_path: Path):
    words = ("--world-seeds", "0-99", "--style-seeds", "0-99", "-o", tmp_path / "a.png")
    assert "100 worlds in 100 styles are more than 1024 pictures" in refusal(*words)


# Styles like a photograph


def test_styles_are_sorted_by_their_distance_to_a_photograph(tiny_model: Path, tmp_path: Path):
    world = World(seed=0).replace(style_seed=2)
    photograph = tmp_path / "photo.png"
    Image.fromarray(open_studio(world, model=tiny_model).array(Region(-24, -20, 48, 40))).save(photograph)
    result = CliRunner().invoke(
        command,
        [str(w) for w in ("--like", photograph, "--style-seeds", "0-3", *SIZE, "--scale", 1)]
        + ["--model", str(tiny_model), "-o", str(tmp_path / "a.png")],
    )
    assert result.exit_code == 0, result.output
    assert "nearest style: --style-seed 2, distance 0.0000" in result.stderr
    found = pixels(tmp_path / "a.png")
    assert np.array_equal(found[LABEL_PX : LABEL_PX + 40, :48], found[LABEL_PX : LABEL_PX + 40, 52:100])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--like", "none.jpg"), "'none.jpg' cannot be read"),
        (("--like", "text.jpg"), "photograph text.jpg"),
        (("--like", "photo.png", "--w", 20), "pictures of 20 x 40 px are too small to compare"),
        (("--like", "photo.png", "-o", "photo.png"), "which this command reads"),
    ],
)
def test_a_photograph_that_cannot_be_compared_is_refused(
    words: tuple[object, ...], message: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no photograph")
    Image.new("RGB", (60, 50), "red").save("photo.png")
    before = Path("photo.png").read_bytes()
    assert message in refusal("--model", tiny_model, "-o", "a.png", *SIZE, *words)
    assert sorted(path.name for path in Path().iterdir()) == ["photo.png", "text.jpg"]
    assert Path("photo.png").read_bytes() == before


@pytest.mark.parametrize(("height", "halvings"), [(788, 0), (400, 1), (192, 2), (97, 3), (20, 3)])
def test_a_photograph_is_compared_at_the_scale_of_its_whole_view(height: int, halvings: int):
    config = GeneratorConfig((4,) * 12, local_channels=4, global_channels=4, scales=(3, 4, 5, 6), view_px=788)
    assert view_halvings(config, height) == halvings


def test_worlds_that_differ_in_style_only_share_their_fields(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    region, calls = Region(-24, -20, 48, 40), []
    worlds = [World(seed=place).replace(style_seed=style) for place in (4, 6) for style in (1, 2, 3)]
    studio = open_studio(worlds[0], model=tiny_model)
    expected = [studio.with_world(world).array(region) for world in worlds]
    inputs = render.batch_inputs
    monkeypatch.setattr(render, "batch_inputs", lambda *words: calls.append(words) or inputs(*words))
    found = list(studio.pictures(worlds, region))
    assert np.array_equal(found, expected)
    assert len(calls) == 2

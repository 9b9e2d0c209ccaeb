"""Commands without ``-o``: the name is printed, says what the file holds, and never replaces a file."""

import shutil
from pathlib import Path

import pytest

from infgen.lock import lock_name
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, photograph

FOUR_STYLES = Path(__file__).parents[2] / "docs" / "examples" / "four-styles.json"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_render_is_named_after_layout_size_and_seed(render: Call):
    shutil.copy(FOUR_STYLES, "layout.json")
    code, out, err = render("--w", 60, "--h", 40, "--styles", "layout.json")
    assert (code, out, err) == (0, "layout-60x40-seed0.png\n", "")
    assert Path("layout-60x40-seed0.png").stat().st_size


def test_the_same_render_again_gets_a_number(render: Call):
    names = [render("--w", 24, "--h", 16, "--seed", 7)[1] for _ in range(2)]
    assert names == ["world-24x16-seed7.png\n", "world-24x16-seed7-2.png\n"]


def test_a_name_that_another_command_has_chosen_is_not_chosen_again(render: Call):
    with lock_name(Path("world-24x16-seed7.png")):  # the other one has not begun to write
        assert render("--w", 24, "--h", 16, "--seed", 7)[1] == "world-24x16-seed7-2.png\n"
    assert [path.name for path in Path().iterdir()] == ["world-24x16-seed7-2.png"]


def test_a_render_at_another_place_names_the_place(render: Call):
    assert render("--w", 24, "--h", 16, "--x", 100)[1] == "world-24x16-x100-y-8-seed0.png\n"


def test_a_dry_run_writes_nothing(render: Call):
    assert render("--w", 24, "--h", 16, "--dry-run")[:2] == (0, "")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words", "name"),
    [
        ("outpaint", ("photo.png", "--right", 8), "photo-outpainted.png"),
        ("panorama", ("photo.png", "--w", 528), "photo-panorama.png"),
        ("inbetween", ("photo.png", "other.png", "--gap", 8), "photo-to-other.png"),
    ],
)
def test_a_picture_of_photographs_is_named_after_them(
    command: str, words: tuple[object, ...], name: str, call: Call, tiny_model: Path
):
    photograph(Path())
    photograph(Path(), "other.png", seed=2)
    code, out, err = call(command, *words, "--model", tiny_model, *QUICK, "--quiet")
    assert (code, out) == (0, f"{name}\n"), err


def test_samples_do_not_replace_the_picture_with_their_number(call: Call, tiny_model: Path):
    photo = photograph(Path())
    Path("photo-outpainted-2.png").write_text("mine")
    words = ("outpaint", photo, "--right", 8, "--samples", 2, "--model", tiny_model, *QUICK, "--quiet")
    code, out, err = call(*words)
    assert code == 0, err
    assert out.split() == [f"photo-outpainted-3{end}.png" for end in ("-1", "-2", "-sheet")]
    assert Path("photo-outpainted-2.png").read_text() == "mine"


def test_a_sheet_is_named_after_its_seeds(call: Call, tiny_model: Path):
    words = ("styles", "--seeds", "3-4", "--w", 24, "--h", 16, "--model", tiny_model, "--quiet")
    assert call(*words)[:2] == (0, "styles-3-to-4.png\n")

"""``infgen inbetween`` as people call it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.cli import photographs as module
from infgen.colour import convert_profile
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, interrupt_after, photograph, pixels
from tests.profiles import profile
from tests.train.photos import load


@pytest.fixture
def inbetween(call: Call, tiny_model: Path) -> Call:
    """``infgen inbetween`` with the tiny model, one step and small pictures."""
    return lambda *words: call("inbetween", *QUICK, "--model", tiny_model, *words)


def row(folder: Path, count: int = 2) -> list[Path]:
    """Photographs of 60 x 40 px."""
    return [photograph(folder, f"{i}.png", seed=i) for i in range(count)]


def test_photographs_stand_in_a_row_with_the_gap_between_them(inbetween: Call, tmp_path: Path) -> None:
    photos = row(tmp_path, 3)
    assert inbetween(*photos, "--gap", 50, "--feather", 5, "-o", tmp_path / "a.png")[0] == 0
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (40, 3 * 60 + 2 * 50, 3)
    for i, inside in enumerate((slice(0, 55), slice(5, 55), slice(5, 60))):
        assert np.array_equal(picture[:, i * 110 : i * 110 + 60][:, inside], pixels(photos[i])[:, inside])


def test_the_world_has_an_anchor_and_a_style_for_each_photograph(inbetween: Call, tmp_path: Path) -> None:
    assert inbetween(*row(tmp_path), "--gap", 600, "--quiet", "-o", tmp_path / "a.png")[0] == 0
    world = World.load(tmp_path / "a.world.json")
    assert world.layout is not None
    assert (len(world.anchors), len(world.layout.styles)) == (2, 2)
    assert len(list(tmp_path.glob("a.*.safetensors"))) == 2


def test_styles_meet_in_the_middle_of_the_gap_whatever_the_widths(inbetween: Call, tmp_path: Path) -> None:
    photos = [photograph(tmp_path, "narrow.png", width=40), photograph(tmp_path, "wide.png", width=300)]
    assert inbetween(*photos, "--gap", 100, "--quiet", "-o", tmp_path / "a.png")[0] == 0
    layout = World.load(tmp_path / "a.world.json").layout
    assert layout is not None
    labels = layout.labels_at(range(440), [0])[0]
    assert abs(int(np.flatnonzero(np.diff(labels))[0]) - (40 + 50)) <= 1


def test_photographs_of_other_heights_are_scaled_to_one_and_that_is_printed(inbetween: Call, tmp_path: Path) -> None:
    photos = [photograph(tmp_path, "a.png"), photograph(tmp_path, "b.png", width=180, height=120)]
    code, _, err = inbetween(*photos, "--gap", 20, "--output-size", "work", "-o", tmp_path / "c.png")
    assert code == 0
    assert "heights of 40 to 120 px are scaled to 40 px" in err
    assert "styles blend over 11 px" in err
    assert pixels(tmp_path / "c.png").shape == (40, 140, 3)


def test_a_photograph_of_another_colour_profile_is_converted_into_the_first_ones(
    inbetween: Call, tmp_path: Path
) -> None:
    photos = row(tmp_path)
    load(photos[0]).save(photos[0], icc_profile=profile("p3"))
    code, _, err = inbetween(*photos, "--gap", 20, "--feather", 0, "-o", tmp_path / "a.png")
    assert code == 0
    assert f"{photos[1]} has another colour profile than {photos[0]}; converted into that one" in err
    assert load(tmp_path / "a.png").info["icc_profile"] == profile("p3")
    assert np.array_equal(pixels(tmp_path / "a.png")[:, :60], pixels(photos[0]))
    found = Image.fromarray(np.ascontiguousarray(pixels(tmp_path / "a.png")[:, 80:]))
    assert np.abs(np.subtract(convert_profile(found, profile("p3")), pixels(photos[1]), dtype=np.int16)).mean() < 2


def test_interrupted_at_the_second_photograph_both_are_kept(
    inbetween: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        code, _, err = inbetween(*row(tmp_path), "--gap", 20, "--inversion-steps", 3, "-o", tmp_path / "a.png")
    assert code == 130
    files = [word for word in err.split() if word.endswith(".safetensors")][-2:]
    monkeypatch.setattr(module, "invert_photograph", lambda *_, **__: pytest.fail("it was inverted again"))
    again = [word for file in files for word in ("--latents", file)]
    assert inbetween(*row(tmp_path), "--gap", 20, *again, "-o", tmp_path / "a.png")[0] == 0


@pytest.mark.parametrize(
    ("count", "words", "message"),
    [
        (1, ("--gap", 20), "1 photographs are given; allowed are 2 to 32"),
        (33, ("--gap", 20), "33 photographs are given; allowed are 2 to 32"),
        (2, ("--gap", 0), "gap 0 px is not possible"),
        (2, ("--gap", -3), "gap -3 px is not possible"),
        (2, ("--gap", 10**12), "gap 1000000000000 px is not possible"),
        (2, ("--gap", 5_000_000), "INFGEN_MAX_JOINED_PIXELS"),
        (2, (), "--gap"),
        (0, ("--gap", 20), "PHOTOS"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(
    count: int, words: tuple[object, ...], message: str, inbetween: Call, tmp_path: Path
) -> None:
    photo = photograph(tmp_path)
    code, _, err = inbetween(*[photo] * count, *words, "-o", tmp_path / "a.png")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == [photo.name]

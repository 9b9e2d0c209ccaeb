"""``infgen panorama`` as people call it: the right edge continues at the left one."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from infgen.cli.panorama import command
from infgen.geometry import Region
from infgen.rendering.studio import Studio, open_studio
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, photograph, pixels

PERIOD = 1232  # the shortest for 60 px and the cells around them is 544
X = -(PERIOD - 60) // 2


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A finished panorama, out.png."""
    folder = tmp_path_factory.mktemp("panorama")
    words = [photograph(folder), "--w", 1230, *QUICK, "--feather", 6, "--model", tiny_model, "-o", folder / "out.png"]
    result = CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False)
    (folder / "said").write_text(result.output)
    return folder


@pytest.fixture(scope="module")
def studio(done: Path, tiny_model: Path) -> Studio:
    return open_studio(World.load(done / "out.world.json"), model=tiny_model)


def test_the_width_is_rounded_to_cells_and_that_is_said(done: Path) -> None:
    assert pixels(done / "out.png").shape == (40, PERIOD, 3)
    assert "width 1230 px is rounded to 1232 px, whole cells of the model" in (done / "said").read_text()


def test_the_photograph_stands_once_in_the_middle(done: Path) -> None:
    left = (PERIOD - 60) // 2
    kept = pixels(done / "out.png")[:, left + 6 : left + 54]
    assert np.array_equal(kept, pixels(done / "photo.png")[:, 6:54])


@pytest.mark.parametrize("shift", [1, 16, 100, 616, 1231])
def test_the_rolled_picture_is_the_world_at_a_shifted_place(shift: int, studio: Studio) -> None:
    picture = studio.array(Region(X, -20, PERIOD, 40)).astype(int)
    shifted = studio.array(Region(X + shift, -20, PERIOD, 40))
    assert np.abs(np.roll(picture, -shift, axis=1) - shifted).max() <= 1


def test_the_right_edge_continues_at_the_left_one(done: Path) -> None:
    picture = pixels(done / "out.png").astype(int)
    steps = np.abs(picture - np.roll(picture, 1, axis=1)).mean((0, 2))  # of each column to the one on its left
    inside = np.concatenate([steps[1 : (PERIOD - 60) // 2], steps[(PERIOD + 60) // 2 + 1 :]])
    assert steps[0] <= np.quantile(inside, 0.9)


@pytest.mark.parametrize(
    ("w", "message"),
    [
        (48, "width 48 px is too short for a panorama: the photograph alone is 60 px wide"),
        (-7, "width 16 px is too short"),
        (496, "period 496 px does not fit a picture 60 px wide"),
        (10**8, "INFGEN_MAX_JOINED_PIXELS"),
        (10**400, "leaves the canvas"),
    ],
)
def test_a_width_that_is_not_possible_is_refused(
    w: int, message: str, call: Call, tiny_model: Path, tmp_path: Path
) -> None:
    photo = photograph(tmp_path)
    words = ("panorama", photo, "--w", w, *QUICK, "--model", tiny_model, "-o", tmp_path / "a.png")
    code, _, err = call(*words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == [photo.name]

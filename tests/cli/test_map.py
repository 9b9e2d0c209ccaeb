"""``infgen map``: the styles of a world as a picture, and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from infgen import Region, World
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve
from tests.cli.conftest import Call

STROKE = {"points": "100 0 300 40", "radius": 60, "hardness": 1.0, "style": "hills"}
LAYOUT = {
    "styles": [{"name": "lake", "seed": 1}, {"name": "hills", "seed": 2, "mix": {"seed": 3, "crossover": 2}}],
    "transition": 1,
}


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    path = tmp_path / "world.json"
    World(layout=LAYOUT | {"strokes": [STROKE]}).save(path)
    return path


def test_a_map_read_by_its_layout_has_the_styles_of_the_world(call: Call, painted: Path, tmp_path: Path):
    out = tmp_path / "map.png"
    code, text, _ = call("map", painted, "--region", "0,-100,400,200", "--side", 400, "-o", out)
    assert (code, text.split()) == (0, [str(out), str(tmp_path / "map.json")])
    region = Region(0, -100, 400, 200)
    again = resolve(Layout.load(tmp_path / "map.json"), region, folder=tmp_path, snap=False)
    world = World.load(painted).layout
    assert world is not None
    xs, ys = range(0, 400, 7), range(-100, 100, 7)
    assert np.array_equal(again.labels_at(xs, ys), world.labels_at(xs, ys))
    assert again.styles == world.styles


@pytest.mark.parametrize(
    ("world", "words"),
    [
        ({"seed": 1}, "one style everywhere"),
        (
            {"layout": {"styles": [{"name": "a", "latent": {"z_g": [0.0], "w_plus": [[0.0]]}}], "transition": 1}},
            "stored latents",
        ),
    ],
)
def test_a_world_without_a_map_is_refused_in_one_line(call: Call, tmp_path: Path, world: dict, words: str):
    path = tmp_path / "world.json"
    path.write_text(json.dumps(world))
    code, _, error = call("map", path, "--region", "0,0,64,64", "-o", tmp_path / "map.png")
    assert code == 2
    assert words in error
    assert not (tmp_path / "map.png").exists()

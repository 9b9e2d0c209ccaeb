"""Brush strokes from the command line: world files, layouts, provenance and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen import World
from infgen.world.layout import ResolvedLayout
from tests.cli.conftest import Call

STROKE = {"points": "0 0 60 20", "radius": 30, "hardness": 0.4, "style": "hills"}
STYLES = {"lake": {"seed": 1}, "hills": {"seed": 2}}
WINDOW = ("--x", 0, "--y", -20, "--w", 48, "--h", 40)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    path = tmp_path / "layout.json"
    path.write_text(json.dumps({"styles": STYLES, "transition": 1, "strokes": [STROKE]}))
    return path


def test_a_picture_keeps_the_strokes_of_its_layout_and_renders_again_from_them(
    call: Call, tiny_model: Path, layout: Path, tmp_path: Path
):
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    assert call("render", "--model", tiny_model, "--styles", layout, *WINDOW, "-o", out)[0] == 0
    code, text, _ = call("info", "--only-world", out)
    world = World.from_json(text)
    assert code == 0
    assert world.layout == ResolvedLayout(
        styles=[{"name": name, **style} for name, style in STYLES.items()], transition=1, strokes=[STROKE]
    )
    world.save(tmp_path / "world.json")
    assert call("render", "--model", tiny_model, "--world", tmp_path / "world.json", *WINDOW, "-o", again)[0] == 0
    assert call("verify", "--model", tiny_model, again)[0] == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))


def test_a_stroke_with_a_bad_radius_is_refused_in_one_line(call: Call, layout: Path, tmp_path: Path):
    document = json.loads(layout.read_text())
    document["strokes"][0]["radius"] = 0
    layout.write_text(json.dumps(document))
    code, _, error = call("render", "--styles", layout, *WINDOW, "-o", tmp_path / "out.png")
    assert code == 2
    assert "strokes.0.radius is 0" in error
    assert not (tmp_path / "out.png").exists()

"""Views: one picture of any rectangle, also with a stroke that is not saved."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.serve.tiles.artist import MAX_VIEW_PX
from infgen.world.layout import ResolvedLayout
from infgen.world.world import World
from tests.serve.client import Client

STROKE = {"points": "10 -20 60 5", "radius": 40, "hardness": 0.5, "style": "style 3"}
DRAFT: dict[str, Any] = {
    "styles": [{"name": "own", "seed": 7}, {"name": "style 3", "seed": 3}],
    "transition": 129,
    "strokes": [STROKE],
}


@pytest.fixture(scope="module")
def record(scaled_client: Client) -> dict[str, Any]:
    return scaled_client.new_world(seed=7)


def path(record: dict[str, Any], rectangle: str) -> str:
    return f"/worlds/{record['id']}/{record['revision']}/views/{rectangle}.webp"


def pixels_of(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)))


def near(found: bytes, expected: Pixels) -> bool:
    """Whether WebP shows ``expected``: the tiny model renders coloured noise, of which WebP drops a part."""
    return pixels_of(found).shape == expected.shape and np.abs(pixels_of(found).astype(int) - expected).mean() < 12


@pytest.mark.parametrize("z", [0, -2])
def test_a_view_has_the_pixels_of_its_rectangle(scaled_client: Client, record: dict[str, Any], z: int) -> None:
    answer = scaled_client.get(path(record, f"{z}/-33/-20/90/50"))
    studio = scaled_client.canvas.studio.with_world(World(seed=7))
    expected = (studio.coarser(-z) if z else studio).array(Region(-33, -20, 90, 50))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert near(answer.content, expected)


def test_a_draft_shows_its_stroke_and_changes_nothing(scaled_client: Client, record: dict[str, Any]) -> None:
    answer = scaled_client.post(path(record, "0/-20/-60/96/96"), json=DRAFT)
    painted = World(seed=7, layout=ResolvedLayout.model_validate(DRAFT))
    expected = scaled_client.canvas.studio.with_world(painted).array(Region(-20, -60, 96, 96))
    assert near(answer.content, expected)
    assert answer.content != scaled_client.get(path(record, "0/-20/-60/96/96")).content
    assert scaled_client.get(f"/worlds/{record['id']}").json() == record


@pytest.mark.parametrize(
    ("rectangle", "status", "words"),
    [
        ("1/0/0/9/9", 404, "zoom level 1 has no views"),
        (f"0/0/0/{MAX_VIEW_PX}/2", 413, "ask for a coarser level"),
        (f"0/{2**40}/0/9/9", 404, "leaves the canvas along x"),
        ("0/0/0/0/9", 422, "path.w is '0'"),
    ],
)
def test_a_view_that_cannot_be_is_refused_in_one_line(
    scaled_client: Client, record: dict[str, Any], rectangle: str, status: int, words: str
) -> None:
    answer = scaled_client.get(path(record, rectangle))
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_draft_with_an_unknown_style_is_refused(scaled_client: Client, record: dict[str, Any]) -> None:
    answer = scaled_client.post(path(record, "0/0/0/9/9"), json=DRAFT | {"strokes": [STROKE | {"style": "none"}]})
    assert answer.status_code == 400
    assert "stroke 0 has style 'none', which is not given" in answer.json()["error"]

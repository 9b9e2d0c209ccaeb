"""Painted maps over HTTP: read as a picture, changed, and given back."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serve.client import Client

LAYOUT = {
    "styles": [{"name": "lake", "seed": 1}, {"name": "hills", "seed": 2}],
    "centres": [{"style": "lake", "x": 0, "y": 0}, {"style": "hills", "x": 200, "y": 0}],
    "transition": 1,
}
REGION = {"x": -40, "y": -40, "w": 320, "h": 80}


@pytest.fixture
def record(client: Client) -> dict[str, Any]:
    return client.new_world(seed=7, layout=LAYOUT)


def map_of(client: Client, record: dict[str, Any], **region: int) -> np.ndarray:
    answer = client.get(f"/worlds/{record['id']}/{record['revision']}/map.png", params=region)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def give_back(client: Client, record: dict[str, Any], picture: bytes, **region: int) -> Any:
    headers = {"If-Match": f'"{record["revision"]}"'}
    files = {"map": ("map.png", picture, "image/png")}
    return client.post(f"/worlds/{record['id']}/map", files=files, data=region, headers=headers)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_changed_map_changes_the_styles_of_its_region(client: Client, record: dict[str, Any]) -> None:
    pixels = map_of(client, record, **REGION)
    assert pixels.shape == (80, 320, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 2
    swapped = pixels[:, ::-1]
    changed = give_back(client, record, png(swapped), **REGION)
    assert changed.status_code == 200, changed.text
    layout = changed.json()["world"]["layout"]
    assert (layout["centres"], [style["name"] for style in layout["styles"]]) == ([], ["lake", "hills"])
    assert np.array_equal(map_of(client, changed.json(), **REGION), swapped)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (b"no picture", "the map is not a PNG picture"),
        (png(np.zeros((8, 8, 3), np.uint8)), "the map has colours without a style"),
        (png(np.zeros((8, 8, 4), np.uint8)), "the map has transparency"),
    ],
)
def test_a_map_that_cannot_be_used_is_refused_in_one_line(
    client: Client, record: dict[str, Any], picture: bytes, words: str
) -> None:
    answer = give_back(client, record, picture, **REGION)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_map_of_too_many_pixels_is_refused_before_it_is_decoded(
    client: Client, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFGEN_MAX_PAINTING_PIXELS", "63")
    answer = give_back(client, record, png(np.zeros((8, 8, 3), np.uint8)), **REGION)
    assert (answer.status_code, "64 px, over this server's limit of 63" in answer.json()["error"]) == (413, True)


def test_a_world_of_one_style_has_no_map(client: Client) -> None:
    record = client.new_world(seed=8)
    answer = client.get(f"/worlds/{record['id']}/{record['revision']}/map.png", params=REGION)
    assert (answer.status_code, "one style everywhere" in answer.json()["error"]) == (400, True)

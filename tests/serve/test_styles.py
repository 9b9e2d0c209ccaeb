"""Styles like a photograph, over HTTP."""

import io

from PIL import Image

from tests.serve.client import Client


def test_the_style_of_a_picture_is_nearest_to_it(client: Client) -> None:
    picture = client.get("/styles/5.webp?size=128").content
    answer = client.post("/styles/like", files={"photo": ("a.webp", picture)}, data={"seeds": "8"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found[0]["seed"] == 5
    assert len(found) == 8
    assert [each["distance"] for each in found] == sorted(each["distance"] for each in found)


def test_a_tiny_or_damaged_photograph_is_refused_in_one_line(client: Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    for content in (file.getvalue(), b"nothing"):
        answer = client.post("/styles/like", files={"photo": ("a.png", content)})
        assert answer.status_code == 400
        assert "\n" not in answer.json()["error"]

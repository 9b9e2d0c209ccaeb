"""Test the HTTP responses of a real TorchServe on loopback."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen import World
from infgen.export.torchserve import export_torchserve
from infgen.geometry import Region
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve
from tests.export.files import tiny_file
from tests.export.torchserve_server import Reply, Server, missing, serving

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

REGION = Region(-40, -20, 90, 50)
WINDOW = {"seed": 7, "x": REGION.x, "y": REGION.y, "w": REGION.w, "h": REGION.h}
LAYOUT = {
    "styles": {"a": {"seed": 1}, "b": {"seed": 2}},
    "centres": [{"style": "a", "x": "0%", "y": 0}, {"style": "b", "x": "100%", "y": 0}],
    "transition": 31,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    archive = tmp_path_factory.mktemp("store") / "tiny.mar"
    export_torchserve(tiny_file(), archive)
    with serving(archive) as running:
        yield running
    with pytest.raises(ConnectionRefusedError):
        running.ask("GET", "/ping")


def pixels(reply: Reply) -> np.ndarray:
    assert (reply.status, reply.content_type) == (200, "image/png"), reply
    return np.asarray(Image.open(io.BytesIO(reply.body)))


def direct(**values: object) -> np.ndarray:
    world = World.create(**{"seed": 7} | values)
    return world.render(REGION.x, REGION.y, REGION.w, REGION.h, model=tiny_file())


def test_a_window_has_the_pixels_of_the_direct_render(server: Server):
    assert np.array_equal(pixels(server.post(WINDOW)), direct())


def test_a_window_of_several_styles_has_the_pixels_of_the_direct_render(server: Server):
    layout = resolve(Layout.from_json(json.dumps(LAYOUT)), REGION, folder=Path())
    assert np.array_equal(pixels(server.post(WINDOW | {"styles": LAYOUT})), direct(layout=layout))


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (WINDOW | {"w": 0}, 400, "w is 0"),
        (WINDOW | {"styles": {"styles": {"a": {"latent": "a"}}}}, 400, "names the file 'a'"),
        (WINDOW | {"w": 10**6}, 413, "INFGEN_MAX_REQUEST_PIXELS"),
        (WINDOW | {"styles": {"styles": {"a" * 300_000: {"seed": 1}}}}, 413, "256 KiB"),
    ],
)
def test_a_refusal_is_one_line_of_json(server: Server, document: object, status: int, message: str):
    reply = server.post(document)
    assert (reply.status, reply.content_type) == (status, "application/json")
    assert message in json.loads(reply.body)["error"]


def test_a_body_that_torchserve_itself_refuses_has_status_413(server: Server):
    assert server.post(b" " * 7_000_000).status == 413


def test_clients_at_the_same_time_all_get_their_own_window(server: Server):
    places = [WINDOW | {"x": 90 * i} for i in range(12)]
    with ThreadPoolExecutor(4) as clients:
        pictures = [pixels(reply) for reply in clients.map(server.post, places)]
    whole = World(seed=7).render(0, REGION.y, 12 * 90, REGION.h, model=tiny_file())
    joined = np.concatenate(pictures, axis=1).astype(int)
    assert np.abs(joined - whole).max() <= 1


def test_the_server_reports_that_it_is_healthy(server: Server):
    assert json.loads(server.ask("GET", "/ping").body) == {"status": "Healthy"}

"""The most expensive request of every route: refused or answered, while other clients are answered."""

from pathlib import Path

import anyio.to_thread
import httpx
import pytest

from infgen.serve.app import API
from tests.serve.client import Client
from tests.serve.process import serving
from tests.serve.worst import attacks, bodies, paint_layout, probing, send

LONGEST = 3.0  # s, far above the stalls that benchmarks/stalls.py measures: only for a machine with other work


def test_no_request_stalls_the_others(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--model", tiny_model) as server, server.client() as client:
        world = client.post(f"{API}/worlds", json={}).json()["id"]
        stalls: dict[str, float] = {}
        for attack in attacks(form_mb=4, side=800):
            with probing(server.url) as probe:
                assert send(client, attack, world).status_code < httpx.codes.INTERNAL_SERVER_ERROR
            stalls[attack.name] = probe.longest
    assert {name: stall for name, stall in stalls.items() if stall > LONGEST} == {}


@pytest.mark.parametrize("name", ["empty edits", "centres", "unknown entries", "bad rows"])
def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(client: Client, name: str) -> None:
    answer = client.post("/worlds", content=bodies()[name], headers={"Content-Type": "application/json"})
    assert (answer.status_code, "allowed are" in answer.json()["error"]) == (413, True)


def test_a_painting_has_a_limit_of_its_own(client: Client) -> None:
    answer = client.post("/worlds", json={"world": paint_layout(2049, 2048)})
    assert (answer.status_code, "INFGEN_MAX_PAINTING_PIXELS" in answer.json()["error"]) == (413, True)


def test_the_largest_painting_is_accepted(client: Client) -> None:
    assert client.post("/worlds", json={"world": paint_layout(2048, 2048)}).status_code == 201


def test_health_needs_no_thread(client: Client) -> None:
    async def ask_without_threads() -> int:
        limiter = anyio.to_thread.current_default_thread_limiter()
        before, limiter.total_tokens = limiter.total_tokens, 1
        async with limiter:
            status = (await client.http.get("/health/live", timeout=10)).status_code
        limiter.total_tokens = before
        return status

    assert client.wait(ask_without_threads()) == httpx.codes.OK

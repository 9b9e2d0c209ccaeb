"""Checks of host, origin, token and body size."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infgen.serve import create_app
from tests.serve.client import Client, client_of

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def locked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with a token that accepts any host name."""
    app = create_app(tmp_path_factory.mktemp("data"), model=tiny_model, token=TOKEN, hosts=None)
    with client_of(app) as client:
        yield client


def test_without_a_token_nothing_is_told(locked: Client) -> None:
    answer = locked.get("/worlds")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", f"Bearer {TOKEN}x", "Bearer é"])
def test_a_wrong_token_is_refused(locked: Client, header: str) -> None:
    assert locked.get("/worlds", headers={"Authorization": header.encode()}).status_code == 401


def test_the_token_opens_as_a_header(locked: Client) -> None:
    assert locked.get("/worlds", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_in_the_address_becomes_a_cookie(locked: Client) -> None:
    answer = locked.get(f"//?token={TOKEN}&z=-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?z=-1")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    locked.http.cookies.clear()
    assert locked.get("/worlds", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


def test_a_wrong_token_in_the_address_is_refused(locked: Client) -> None:
    assert locked.get("//?token=wrong").status_code == 401


@pytest.mark.parametrize("path", ["//health/live", "//health/ready"])
def test_health_needs_no_token(locked: Client, path: str) -> None:
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("host", ["localhost:8600", "127.0.0.1", "[::1]:1", "LOCALHOST"])
def test_the_own_names_are_answered(client: Client, host: str) -> None:
    assert client.get("/worlds", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[", "127.0.0.1.nip.io:8600"])
def test_a_name_that_was_made_to_lead_here_is_not(client: Client, host: str) -> None:
    assert client.get("/worlds", headers={"Host": host}).status_code == 403


def test_a_page_of_another_site_changes_nothing(client: Client) -> None:
    answer = client.post("/worlds", json={}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "evil.example" in answer.json()["error"]) == (403, True)


def test_the_own_page_may_change_things(client: Client) -> None:
    assert client.post("/worlds", json={}, headers={"Origin": "http://127.0.0.1"}).status_code == 201


def test_other_sites_may_not_read_answers(client: Client) -> None:
    answer = client.get("/worlds", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["//", "/worlds", "//nowhere", "//static/js/app.js"])
def test_every_answer_says_what_a_browser_must_not_do(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["//static/../app.py", "//static/%2e%2e/app.py", "//../serve/app.py"])
def test_nothing_outside_the_page_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_body_that_says_it_is_too_long_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_WORLD_KB", "1")
    assert client.post("/worlds", content=b" " * 2000).status_code == 413


def test_a_body_that_turns_out_too_long_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_WORLD_KB", "1")

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 200

    answer = client.post("/worlds", content=parts(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, "1024 bytes" in answer.json()["error"]) == (413, True)


def test_a_body_that_does_not_go_on_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setenv("INFGEN_REQUEST_SECONDS", "1")

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    answer = client.post("/worlds", content=stalled(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, "for 1 s" in answer.json()["error"]) == (408, True)

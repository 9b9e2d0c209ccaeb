"""Checks of host, origin, token and body size."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infgen.serve import create_app
from infgen.serve.sessions import Sessions
from tests.serve.client import Client, client_of, wait_for_job

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def locked_client(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with a token that accepts any host name."""
    app = create_app(tmp_path_factory.mktemp("data"), model=tiny_model, token=TOKEN, hosts=None)
    with client_of(app) as client:
        yield client


def test_without_a_token_nothing_is_told(locked_client: Client) -> None:
    answer = locked_client.get("/worlds")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", f"Bearer {TOKEN}x", "Bearer é"])
def test_a_wrong_token_is_refused(locked_client: Client, header: str) -> None:
    assert locked_client.get("/worlds", headers={"Authorization": header.encode()}).status_code == 401


def test_the_token_opens_as_a_header(locked_client: Client) -> None:
    assert locked_client.get("/worlds", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_in_the_address_becomes_a_session(locked_client: Client) -> None:
    answer = locked_client.get(f"//?token={TOKEN}&z=-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "./?z=-1")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert TOKEN not in cookie
    locked_client.http.cookies.clear()
    assert locked_client.get("/worlds", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


@pytest.mark.parametrize("path", ["//", "//evil.example/", "//api/v1/worlds", "///evil.example", "//a:b"])
def test_signing_in_stays_on_this_server(locked_client: Client, path: str) -> None:
    place = locked_client.get(f"{path}?token={TOKEN}").headers["Location"]
    assert place.startswith("./")
    assert "//" not in place


@pytest.mark.parametrize("session", ["", "1.2", "9999999999.a.b", f"{TOKEN}", "x.y.z", "9" * 5000 + ".a.b", "é.a.b"])
def test_a_made_up_session_is_refused(locked_client: Client, session: str) -> None:
    locked_client.http.cookies.clear()
    cookie = f"infgen_session={session}".encode()
    assert locked_client.get("/worlds", headers={"Cookie": cookie}).status_code == 401


def test_a_session_ends_with_its_token_and_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Sessions(TOKEN).issue()
    assert (Sessions(TOKEN).valid(session), Sessions(TOKEN[::-1]).valid(session)) == (True, False)
    monkeypatch.setattr("infgen.serve.sessions.time.time", lambda: float(session.partition(".")[0]) + 1)
    assert not Sessions(TOKEN).valid(session)


def test_wrong_tokens_are_slowed(locked_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infgen.serve.guard.WRONG_TOKEN_SECONDS", 3600)
    monkeypatch.setattr("infgen.serve.guard.WRONG_TOKENS_AT_ONCE", 2)

    async def guess() -> list[int]:
        waiting = [asyncio.ensure_future(locked_client.http.get("/?token=wrong")) for _ in range(2)]
        await asyncio.sleep(0.2)
        statuses = [(await locked_client.http.get("/?token=wrong")).status_code]
        statuses.append((await locked_client.http.get("/", headers={"Authorization": f"Bearer {TOKEN}"})).status_code)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return statuses

    assert locked_client.wait(guess()) == [429, 200]


def test_no_log_line_has_the_token(locked_client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        locked_client.get(f"//?token={TOKEN}")
        locked_client.get("//?token=wrong-" + TOKEN)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("infgen")]
    assert [line.split()[3] for line in lines] == ["303", "401"]
    assert [line for line in lines if TOKEN in line] == []


def test_a_wrong_token_in_the_address_is_refused(locked_client: Client) -> None:
    assert locked_client.get("//?token=wrong").status_code == 401


@pytest.mark.parametrize("path", ["//health/live", "//health/ready"])
def test_health_needs_no_token(locked_client: Client, path: str) -> None:
    assert locked_client.get(path).status_code == 200


@pytest.mark.parametrize("host", ["localhost:8600", "127.0.0.1", "[::1]:1", "LOCALHOST"])
def test_the_own_names_are_answered(client: Client, host: str) -> None:
    assert client.get("/worlds", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[", "127.0.0.1.nip.io:8600"])
def test_a_name_that_was_made_to_lead_here_is_not(client: Client, host: str) -> None:
    assert client.get("/worlds", headers={"Host": host}).status_code == 403


def test_a_page_of_another_site_changes_nothing(client: Client) -> None:
    answer = client.post("/worlds", json={}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "evil.example" in answer.json()["error"]) == (403, True)


@pytest.mark.parametrize(
    "origin", ["http://[", "null", "", "http://", "[", "http://a b", "http://127.0.0.1.evil.example"]
)
def test_an_origin_that_is_no_address_changes_nothing(client: Client, origin: str) -> None:
    assert client.post("/worlds", json={}, headers={"Origin": origin}).status_code == 403


HEADERS = ["Host", "Origin", "Cookie", "Authorization", "If-Match", "If-None-Match", "Range", "Content-Type", "Accept"]
HOSTILE = [
    b"[",
    b"http://[",
    b'"' * 5000,
    b"\xff\xfe",
    b"a=" + b"\\" * 5000,
    b"bytes=" + b"9-," * 2000,
    b";=,;=",
    b"W/",
]


@pytest.mark.parametrize("name", [*HEADERS, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix"])
@pytest.mark.parametrize("value", HOSTILE)
def test_no_header_makes_the_server_fail(client: Client, name: str, value: bytes) -> None:
    for method, path in (("GET", "/worlds"), ("POST", "/worlds"), ("GET", "//static/js/app.js"), ("PUT", "/worlds/0")):
        answer = client.ask(method, path, headers={name: value}, content=b"{}" if method != "GET" else None)
        assert answer.status_code < 500, (method, path)


@pytest.mark.parametrize(
    "path", ["//static/%00", "//static/" + "a" * 5000, "//%ff", "//static//etc/passwd", "//a%0d%0ab"]
)
def test_no_path_makes_the_server_fail(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_own_page_may_change_things(client: Client) -> None:
    assert client.post("/worlds", json={}, headers={"Origin": "http://127.0.0.1"}).status_code == 201


def test_other_sites_may_not_read_answers(client: Client) -> None:
    answer = client.get("/worlds", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["//", "/worlds", "//nowhere", "//static/js/app.js"])
def test_every_response_has_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_unexpected_error_has_the_headers_and_is_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client.canvas.worlds, "entries", lambda: 1 // 0)
    answer = client.get("/worlds")
    assert (answer.status_code, answer.json()) == (500, {"error": "internal server error; see the server log"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text


def list_get_routes(client: Client, record: dict[str, Any], job: dict[str, Any]) -> list[str]:
    values = {"world_id": record["id"], "revision": record["revision"], "job_id": job["id"], "seed": 1}
    values |= {"z": 0, "x": 0, "y": 0, "w": 64, "h": 64, "suffix": "png", "number": 0}
    document = client.get("/openapi.json").json()
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    return ["/" + path.format(**values) for path in paths] + ["//", "//api/docs", "//static/js/app.js"]


def test_head_is_answered_like_get_without_the_body(client: Client) -> None:
    record = client.new_world(seed=1)
    job = client.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 9, "h": 9}).json()
    wait_for_job(client, job)
    for path in list_get_routes(client, record, job):
        head, get = client.ask("HEAD", path), client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        names = ("Content-Type", "ETag", "Cache-Control", "Location", "X-Content-Type-Options")
        assert [head.headers.get(name) for name in names] == [get.headers.get(name) for name in names], path


def test_head_of_a_stream_ends_at_once(client: Client) -> None:
    record = client.new_world()
    job = client.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 9000, "h": 9000}).json()
    assert client.ask("HEAD", f"/jobs/{job['id']}/events", timeout=30).status_code == 200
    assert client.canvas.streams == 0
    client.ask("DELETE", f"/jobs/{job['id']}")


def test_head_of_a_change_is_refused(client: Client) -> None:
    assert client.ask("HEAD", f"/worlds/{client.new_world()['id']}/undo").status_code == 405


@pytest.mark.parametrize("path", ["//static/../app.py", "//static/%2e%2e/app.py", "//../serve/app.py"])
def test_nothing_outside_the_page_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_body_with_a_content_length_over_the_limit_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setenv("INFGEN_REQUEST_SECONDS", "1")

    async def stall() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    answer = client.post("/worlds", content=stall(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, "1 s without data" in answer.json()["error"]) == (408, True)


def test_a_body_that_trickles_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_REQUEST_SECONDS", "1")

    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.1)

    answer = client.post("/worlds", content=trickle(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 408


@pytest.mark.parametrize(
    ("path", "kind"), [("/worlds", "application/json"), ("/worlds/{id}/outpaint", "multipart/form-data; boundary=x")]
)
def test_a_client_that_goes_away_while_it_sends_is_no_failure(
    client: Client, caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    messages = [{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"host", b"localhost"), (b"content-type", kind.encode())]
    full = "/api/v1" + path.format(id=client.new_world()["id"])
    scope = {"type": "http", "method": "POST", "path": full, "query_string": b"", "headers": headers, "scheme": "http"}
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    client.wait(client.app(scope, receive, send))
    assert [message["status"] for message in sent if message.get("status", 0) >= 500] == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []

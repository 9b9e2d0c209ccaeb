"""Slow, idle and too many connections of a real server."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from infgen.serve.app import API
from infgen.serve.connections import LimitedProtocol
from infgen.serve.lifecycle import _config
from infgen.serve.starting import Starting
from tests.patience import until
from tests.serve.process import Process, serving

LIMIT = 24


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    limits = {"INFGEN_HEADER_SECONDS": "1", "INFGEN_MAX_CONNECTIONS": str(LIMIT), "INFGEN_REQUEST_SECONDS": "1"}
    with serving(tmp_path_factory.mktemp("data"), "--model", tiny_model, **limits) as server:
        yield server


def connect(server: Process) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 80), timeout=30)


def is_closed(slow: socket.socket) -> bool:
    """Whether the server closes the connection, after the rest of an answer."""
    try:
        while slow.recv(1000):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_half_a_header_is_not_waited_for(server: Process, head: bytes) -> None:
    with connect(server) as slow:
        slow.sendall(head)
        assert is_closed(slow)


def test_more_of_a_header_does_not_extend_its_time(server: Process) -> None:
    with connect(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        slow.settimeout(0.1)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                slow.sendall(b"X-Slow: 1\r\n")
                if slow.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
        pytest.fail("the connection stayed open")


def test_a_second_request_has_its_own_time(server: Process) -> None:
    with connect(server) as slow:
        slow.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.recv(1000).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert is_closed(slow)


def test_many_slow_connections_do_not_block_others(server: Process) -> None:
    with ExitStack() as stack:
        for _ in range(4 * LIMIT):
            stack.enter_context(connect(server)).sendall(b"GET / HTTP/1.1\r\n")
        with server.client() as client:
            assert client.get("/health/live").status_code == 200
        assert psutil.Process(server.popen.pid).num_fds() < 3 * LIMIT + 40


def test_a_client_that_does_not_read_is_disconnected(server: Process) -> None:
    with server.client() as client:
        record = client.post(f"{API}/worlds", json={}).json()
        job = client.post(
            f"{API}/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 2000, "h": 2000, "format": "tiff"}
        )
        until(lambda: client.get(f"{API}/jobs/{job.json()['id']}").json()["state"] == "done")
        before = psutil.Process(server.popen.pid).num_fds()
        with connect(server) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(f"GET {API}/jobs/{job.json()['id']}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: psutil.Process(server.popen.pid).num_fds() > before)
            until(lambda: psutil.Process(server.popen.pid).num_fds() <= before)


def test_an_invalid_request_is_answered_like_every_error(server: Process) -> None:
    with connect(server) as client:
        client.sendall(b"no HTTP at all\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4000), b"")).decode()  # until the server closes
    assert answer.startswith("HTTP/1.1 400")
    assert ("nosniff" in answer, '{"error"' in answer) == (True, True)


def test_a_short_supply_of_descriptors_is_logged_once(tiny_model: Path, tmp_path: Path) -> None:
    def limit_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    with (
        (tmp_path / "log").open("w") as log,
        serving(tmp_path / "data", "--model", tiny_model, log=log, before=limit_descriptors) as server,
        ExitStack() as stack,
    ):
        for _ in range(150):
            stack.enter_context(connect(server))
        time.sleep(1)
    assert (tmp_path / "log").stat().st_size < 4000


def test_the_parser_is_h11_even_if_others_are_installed() -> None:
    config = _config(Starting(lambda: pytest.fail("opened"), ready=lambda: None, ended=lambda: None))
    config.load()
    assert isinstance(config, uvicorn.Config)
    assert issubclass(config.http_protocol_class, LimitedProtocol)  # type: ignore[arg-type]

"""A real server process: start, shutdown, kill, and constant memory."""

import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from infgen.serve.app import API
from infgen.serve.lifecycle import listen
from tests.patience import until
from tests.serve.process import Process, serving, words


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("data"), "--model", tiny_model) as server:
        yield server


def test_no_answer_waits_for_the_network_to_acknowledge_its_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_descriptors_stay_flat_over_a_thousand_requests(server: Process) -> None:
    with server.client() as client:
        record = client.post(f"{API}/worlds", json={"world": {"seed": 1}}).json()
        tile = f"{API}/worlds/{record['id']}/{record['revision']}/tiles/-2/0/0.webp"
        paths = [tile, f"{API}/worlds", f"{API}/info", "/health/ready", "/nowhere"]

        def ask(times: int) -> int:
            for i in range(times):
                client.get(paths[i % len(paths)])
            return psutil.Process(server.popen.pid).num_fds()

        assert abs(ask(900) - ask(100)) <= 2


def test_a_client_that_goes_away_leaves_no_work_behind(server: Process) -> None:
    with server.client() as client:
        record = client.post(f"{API}/worlds", json={"world": {"seed": 2}}).json()
        path = f"{API}/worlds/{record['id']}/{record['revision']}/tiles"

        def impatient(x: int) -> None:
            with suppress(httpx.TimeoutException):
                httpx.get(f"{server.url.rstrip('/')}{path}/-2/{x}/0.webp", timeout=0.3)

        visitors = [threading.Thread(target=impatient, args=(x,)) for x in range(12)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        until(lambda: metrics(client)["infgen_dropped_tiles"] >= 1)
        until(lambda: metrics(client)["infgen_queue_tiles"] == 0)


def metrics(client: httpx.Client) -> dict[str, float]:
    """Read the current metrics."""
    lines = [line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in lines}


def test_a_second_server_in_the_same_folder_is_refused(server: Process, tiny_model: Path) -> None:
    data = Path(server.popen.args[server.popen.args.index("--data") + 1])  # type: ignore[union-attr,index,arg-type]
    found = subprocess.run(words(data, "--model", tiny_model), capture_output=True, text=True, timeout=60)
    assert (found.returncode, f"process {server.popen.pid}" in found.stderr) == (2, True)


def test_the_former_option_exact_is_accepted_with_a_note(tmp_path: Path) -> None:
    nowhere = tmp_path / "no.safetensors"
    found = subprocess.run(
        words(tmp_path, "--exact", 2, "--model", nowhere), capture_output=True, text=True, timeout=60
    )
    note, error = found.stderr.splitlines()
    assert ("--exact has no effect" in note, "no.safetensors" in error) == (True, True)


def edit_for_ever(client: httpx.Client, kept: dict[str, int]) -> None:
    """Create and change worlds. ``kept``: id -> seed of the last answered change."""
    record: dict[str, str] = {}
    for seed in range(100_000):
        body = {"world": {"seed": seed}}
        if seed % 10 == 0:
            record = client.post(f"{API}/worlds", json=body).json()
        else:
            headers = {"If-Match": f'"{record["revision"]}"'}
            record = client.put(f"{API}/worlds/{record['id']}", json=body, headers=headers).json()
        kept[record["id"]] = seed


def test_killed_at_any_moment_no_world_is_lost_or_half_written(tiny_model: Path, tmp_path: Path) -> None:
    kept: dict[str, int] = {}
    chance = random.Random(0)
    for _ in range(2):
        with serving(tmp_path, "--model", tiny_model) as server, server.client() as client:
            threading.Timer(chance.uniform(0.2, 0.8), server.kill).start()
            with pytest.raises(httpx.TransportError):
                edit_for_ever(client, kept)
    with serving(tmp_path, "--model", tiny_model) as server, server.client() as client:
        found = {entry["id"]: client.get(f"{API}/worlds/{entry['id']}") for entry in client.get(f"{API}/worlds").json()}
        assert {answer.status_code for answer in found.values()} == {200}
        seeds = {id: answer.json()["world"]["seed"] for id, answer in found.items()}
    # Every answered change is stored; the pending one may be, too.
    assert [id for id, seed in kept.items() if seeds.get(id) not in (seed, seed + 1)] == []


def test_sigterm_finishes_tiles_refuses_new_work_and_leaves_with_zero(tiny_model: Path, tmp_path: Path) -> None:
    patient = {"INFGEN_TILE_SECONDS": "1000"}  # so that a slow machine accepts a queue of four
    with serving(tmp_path, "--model", tiny_model, **patient) as server, server.client() as client:
        record = client.post(f"{API}/worlds", json={"world": {"seed": 1}}).json()
        path = f"{API}/worlds/{record['id']}/{record['revision']}/tiles/-2"
        job = client.post(f"{API}/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 9000, "h": 9000}).json()
        answers: list[httpx.Response] = []
        visitors = [
            threading.Thread(
                target=lambda x=x: answers.append(httpx.get(f"{server.url[:-1]}{path}/{x}/0.webp", timeout=240))
            )
            for x in range(4)
        ]
        for visitor in visitors:
            visitor.start()
        until(lambda: metrics(client)["infgen_queue_tiles"] >= len(visitors))
        server.popen.send_signal(signal.SIGTERM)
        until(lambda: client.get("/health/ready").status_code == 503)
        assert client.get("/health/live").status_code == 200
        assert client.get(f"{path}/9/9.webp").status_code == 503
        for visitor in visitors:
            visitor.join()
        assert [answer.status_code for answer in answers] == [200] * 4
        assert server.popen.wait(60) == 0
    assert '"queued"' in (tmp_path / "jobs" / job["id"] / "job.json").read_text()

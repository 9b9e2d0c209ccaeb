"""The data folder: its limit, a full disk, a missing folder, and what a crash leaves behind."""

import asyncio
import errno
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infgen.atomic import TEMPORARY_PREFIX
from infgen.serve import create_app
from infgen.serve.jobs.board import Job, JobBoard
from infgen.serve.storage import Storage
from infgen.serve.worlds.store import WorldStore
from infgen.world.world import World
from tests.serve.client import Client, client_of, if_match, wait_for_job
from tests.serve.test_photographs import outpaint, photograph


@pytest.fixture
def own(tiny_model: Path, tmp_path: Path) -> Iterator[Client]:
    """A server of one test."""
    with client_of(create_app(tmp_path / "data", model=tiny_model)) as client:
        yield client


def large(seed: int) -> dict[str, Any]:
    """A world document of about 130 KiB."""
    edit = {"x": 0, "y": 0, "w": 16, "h": 16}
    return {"seed": seed, "edits": [{**edit, "seed": i} for i in range(1000)]}


def change(client: Client, record: dict[str, Any], world: dict[str, Any]) -> httpx.Response:
    return client.ask("PUT", f"/worlds/{record['id']}", json={"world": world}, headers=if_match(record))


def metric(client: Client, name: str) -> float:
    lines = client.get("//metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_the_oldest_history_makes_room_for_new_changes(own: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_DATA_MB", "1")
    first, record = own.new_world(seed=99), own.new_world(**large(0))
    for seed in range(1, 20):
        answer = change(own, record, large(seed))
        assert answer.status_code == 200, answer.text
        record = answer.json()
    assert (record["world"]["seed"], record["can_undo"]) == (19, True)
    assert own.get(f"/worlds/{first['id']}").status_code == 200
    assert metric(own, "infgen_data_bytes") <= metric(own, "infgen_data_limit_bytes") == 2**20
    history = own.canvas.worlds.get(record["id"]).history
    assert {path.stem for path in own.canvas.worlds.folder(record["id"]).glob("*.json")} == {
        "history",
        *history.revisions,
    }


def test_a_full_quota_is_an_answer_without_paths(own: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_DATA_MB", "1")
    answers = [own.post("/worlds", json={"world": large(seed)}) for seed in range(12)]
    assert {answer.status_code for answer in answers} == {201, 507}
    assert ("INFGEN_MAX_DATA_MB" in answers[-1].text, str(tmp_path) in answers[-1].text) == (True, False)
    job = own.post(f"/worlds/{answers[0].json()['id']}/exports", json={"x": 0, "y": 0, "w": 5000, "h": 5000})
    assert job.status_code == 507


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_an_answer_without_paths(
    own: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    record = own.new_world(seed=1)

    def fail(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("infgen.atomic._sync", fail)
    answers = [own.post("/worlds", json={"world": {"seed": 2}}) for _ in range(5)]
    answers += [change(own, record, {"seed": 3})]
    assert {answer.status_code for answer in answers} == {507}
    assert [answer.text for answer in answers if str(tmp_path) in answer.text] == []
    assert caplog.text.count("cannot write to the data folder") == 1
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)] == []
    assert own.get(f"/worlds/{record['id']}").json()["world"]["seed"] == 1


def test_a_missing_folder_is_an_answer_and_ends_readiness(own: Client, tmp_path: Path) -> None:
    record = own.new_world(seed=1)
    assert own.get("//health/ready").status_code == 200
    (tmp_path / "data").rename(tmp_path / "gone")
    answers = [own.post("/worlds", json={}), change(own, record, {"seed": 3})]
    answers += [own.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 9, "h": 9})]
    answers += [own.ask("DELETE", f"/worlds/{record['id']}"), outpaint(own, record, photograph())]
    assert [answer.status_code for answer in answers] == [507] * 5
    assert [answer.text for answer in answers if str(tmp_path) in answer.text] == []
    assert own.get("//health/ready").status_code == 503
    assert own.tile(record, 0, 0, 0).status_code == 200
    assert not (tmp_path / "data").exists()
    (tmp_path / "gone").rename(tmp_path / "data")
    assert own.get("//health/ready").status_code == 200


def test_little_space_ends_readiness(own: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infgen.serve.storage.LEAST_FREE", 2**62)
    assert own.get("//health/ready").status_code == 503


def test_a_failed_job_does_not_name_the_folder(own: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    record = own.new_world(seed=1)
    job = own.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 900, "h": 900}).json()
    monkeypatch.setattr("infgen.atomic._sync", fail)
    found = wait_for_job(own, job)
    assert (found["state"], "No space left" in found["error"]) == ("failed", True)
    assert str(tmp_path) not in found["error"]


def test_latents_of_a_dropped_revision_are_removed(own: Client) -> None:
    record = own.new_world(seed=3)
    wait_for_job(own, outpaint(own, record, photograph()).json())
    folder = own.canvas.worlds.folder(record["id"])
    assert len(list(folder.glob("*.safetensors"))) == 1
    now = own.get(f"/worlds/{record['id']}").json()
    undone = own.post(f"/worlds/{record['id']}/undo", headers=if_match(now)).json()
    assert len(list(folder.glob("*.safetensors"))) == 1  # a redo needs them
    change(own, undone, {"seed": 4})
    assert list(folder.glob("*.safetensors")) == []


async def never_read() -> AsyncIterator[bytes]:
    raise AssertionError("the body was read")
    yield b""


@pytest.mark.parametrize(
    "path", ["/worlds/000000000000/outpaint", "/worlds/000000000000/inbetween", "/worlds/0/outpaint"]
)
def test_photographs_for_a_world_that_does_not_exist_are_not_received(own: Client, path: str) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert own.post(path, content=never_read(), headers=kind).status_code == 404


def test_photographs_that_do_not_fit_are_not_received(own: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    record = own.new_world()
    monkeypatch.setenv("INFGEN_MAX_DATA_MB", "1")
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(2**21)}
    assert own.post(f"/worlds/{record['id']}/outpaint", content=never_read(), headers=kind).status_code == 507


HEAD = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
TYPE = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", HEAD),
        ("multipart/form-data; boundary=", HEAD),
        (TYPE + "; charset=nonsense", HEAD + b"a\r\n--x--\r\n"),
        (TYPE, b"nonsense"),
        (TYPE, b"--x\r\n\r\na\r\n--x--\r\n"),
        (TYPE, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
        (TYPE, b'--x\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\na\r\n--x--\r\n'),
        (TYPE, b"--x\r\n" + b"A" * 100_000),
        (TYPE, HEAD + b"\x00" * 1000 + b"\r\n--x--\r\n"),
        (TYPE, HEAD.replace(b'"a"', b'"\xed\xa0\x80\r\n"') + b"a\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded", b"%" * 1000 + b"&" * 1000),
        ("application/json", b"{}"),
        ("text/plain; boundary=x", HEAD),
    ],
)
def test_a_broken_form_is_refused_in_one_line(client: Client, kind: str, body: bytes) -> None:
    record = client.new_world()
    for path in ("outpaint", "inbetween"):
        answer = client.post(f"/worlds/{record['id']}/{path}", content=body, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, answer.text
        assert list(answer.json()) == ["error"]


def test_only_so_many_requests_send_photographs(own: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_UPLOADS", "2")
    record = own.new_world()
    path = f"/api/v1/worlds/{record['id']}/outpaint"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    async def stall() -> AsyncIterator[bytes]:
        yield b"--x"
        await asyncio.sleep(3600)

    async def send() -> int:
        waiting = [asyncio.ensure_future(own.http.post(path, content=stall(), headers=kind)) for _ in range(2)]
        while own.canvas.uploads < len(waiting):
            await asyncio.sleep(0.01)
        status = (await own.http.post(path, content=never_read(), headers=kind)).status_code
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return status

    assert own.wait(send()) == 429
    assert own.canvas.uploads == 0


def test_many_event_streams_stay_within_their_limit(own: Client) -> None:
    record = own.new_world()
    job = own.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 9000, "h": 9000}).json()

    async def follow() -> list[int]:
        url = f"/api/v1/jobs/{job['id']}"
        following = [asyncio.ensure_future(own.http.get(f"{url}/events", timeout=60)) for _ in range(150)]
        while sum(each.done() for each in following) < 150 - 64:
            await asyncio.sleep(0.02)
        await own.http.delete(url)
        return [answer.status_code for answer in await asyncio.gather(*following)]

    statuses = own.wait(follow())
    assert (statuses.count(200), statuses.count(429), own.canvas.streams) == (64, 86, 0)


@pytest.mark.parametrize("body", [b'{"name":"a","name":"b"}', b'{"world":{"seed":1,"seed":2}}'])
def test_a_name_given_twice_in_a_body_is_refused(own: Client, body: bytes) -> None:
    answer = own.post("/worlds", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "given twice" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize("name", ["a\nb", "\x00", "a\x1b[2J", "\u202e", "\ud800"])
def test_control_characters_in_a_name_are_refused(own: Client, name: str) -> None:
    styles = {"styles": [{"name": name, "seed": 1}], "transition": 1}
    for body in ({"name": name}, {"world": {"layout": styles}}):
        answer = own.post("/worlds", content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text


def test_a_job_that_a_crash_has_ended_for_good_leaves_no_files(tmp_path: Path) -> None:
    board = JobBoard(Storage(tmp_path), {})
    job = board.new("export", "0" * 12)  # without a request it cannot begin again
    board.submit(job)
    (job.folder / f"{TEMPORARY_PREFIX}half.tmp").write_bytes(b"half")
    (job.folder / "upload-1").write_bytes(b"photograph")
    again: Job = JobBoard(Storage(tmp_path), {}).get(job.id)
    assert (again.state, [path.name for path in job.folder.iterdir()]) == ("failed", ["job.json"])


def test_files_that_no_world_needs_are_removed_at_the_start(tmp_path: Path) -> None:
    record = WorldStore(Storage(tmp_path), renderer_hash="x").create(World(seed=1), name="a")
    folder = tmp_path / "worlds" / record.id
    kept = {path.name for path in folder.iterdir()}
    for name in (
        f"{TEMPORARY_PREFIX}1.tmp",
        f"{TEMPORARY_PREFIX}2.safetensors",
        "photo.0.safetensors",
        f"{'0' * 32}.json",
    ):
        (folder / name).write_bytes(b"left")
    again = WorldStore(Storage(tmp_path), renderer_hash="x")
    assert {path.name for path in folder.iterdir()} == kept
    assert again.get(record.id).world == World(seed=1)


def test_a_removed_cache_does_not_make_the_data_folder_again(own: Client, tmp_path: Path) -> None:
    record = own.new_world()
    shutil.rmtree(tmp_path / "data")
    assert own.tile(record, 0, 1, 1).status_code == 200
    assert not (tmp_path / "data").exists()

"""Export jobs, and the life cycle of all jobs: results, progress, cancellation, restart."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infgen.cli.main import main
from infgen.errors import LimitError
from infgen.serve.jobs.board import Job, JobBoard
from infgen.serve.storage import Storage
from tests.patience import until
from tests.serve.client import Client, if_match, wait_for_job


def export(client: Client, record: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = client.post(f"/worlds/{record['id']}/exports", json={"x": -30, "y": -70, "w": 300, "h": 150, **body})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


@pytest.mark.parametrize(("name", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("webp", "webp"), ("tiff", "tif")])
def test_an_export_equals_the_file_of_the_command_line_bit_for_bit(
    client: Client, tiny_model: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    record = client.new_world(seed=7)
    job = wait_for_job(client, export(client, record, format=name))
    found = client.get(f"/{job['result']}")
    (tmp_path / "world.json").write_text(json.dumps(record["world"]))
    words = ["render", "--world", tmp_path / "world.json", "--x", -30, "--y", -70, "--w", 300, "--h", 150]
    words += ["--model", tiny_model, "--quiet", "-o", tmp_path / f"out.{suffix}"]
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in words])
    assert leave.value.code == 0
    assert found.content == (tmp_path / f"out.{suffix}").read_bytes()


def test_an_older_revision_can_be_exported(client: Client) -> None:
    record = client.new_world(seed=1)
    body = {"world": {"seed": 2}}
    client.ask("PUT", f"/worlds/{record['id']}", json=body, headers=if_match(record))
    jobs = [wait_for_job(client, export(client, record, **which)) for which in ({"revision": record["revision"]}, {})]
    old, new = (client.get(f"/{job['result']}").content for job in jobs)
    assert old != new


def test_events_tell_how_far_a_job_is_until_it_ends(client: Client) -> None:
    job = export(client, client.new_world())
    text = client.get(f"/jobs/{job['id']}/events").text
    assert "event: end" in text.strip().split("\n\n")[-1]
    last = json.loads(text.strip().rpartition("data: ")[2])
    assert (last["state"], last["progress"]) == ("done", {"done": 45000, "total": 45000})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"w": 20_000, "h": 20_000}, 413, "INFGEN_MAX_EXPORT_PIXELS"),
        ({"format": "webp", "w": 17_000, "h": 10}, 413, "WebP"),
        ({"x": 2**40}, 413, "leaves the canvas"),
        ({"w": 0}, 422, "w is 0"),
        ({"format": "/etc/passwd"}, 422, "format"),
        ({"revision": "0"}, 404, "no revision"),
    ],
)
def test_an_export_that_cannot_be_made_is_refused_at_once(
    client: Client, body: dict[str, Any], status: int, said: str
) -> None:
    record = client.new_world()
    answer = client.post(f"/worlds/{record['id']}/exports", json={"x": 0, "y": 0, "w": 10, "h": 10, **body})
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_a_cancelled_export_ends_and_has_no_result(client: Client) -> None:
    job = export(client, client.new_world(), w=9000, h=9000)
    client.ask("DELETE", f"/jobs/{job['id']}")
    assert wait_for_job(client, job)["state"] == "cancelled"
    assert client.get(f"/jobs/{job['id']}/result").status_code == 409


def test_a_finished_job_can_be_removed(client: Client) -> None:
    job = wait_for_job(client, export(client, client.new_world()))
    client.ask("DELETE", f"/jobs/{job['id']}")
    assert client.get(f"/jobs/{job['id']}").status_code == 404


def board_of(folder: Path, work: Callable[[Job], None] = lambda job: None) -> JobBoard:
    """A board whose exports do ``work``."""
    return JobBoard(Storage(folder), {"export": work})


def run_on(board: JobBoard) -> Job:
    job = submit_to(board)
    until(lambda: job.ended)
    return job


def submit_to(board: JobBoard) -> Job:
    job = board.new("export", "0" * 12)
    job.request = {"w": 1}
    board.submit(job)
    return job


def test_all_jobs_are_listed_with_their_worlds_newest_first(client: Client) -> None:
    record = client.new_world(seed=5)
    jobs = [wait_for_job(client, export(client, record)) for _ in range(2)]
    found = client.get("/jobs").json()
    assert [job["id"] for job in found[:2]] == [jobs[1]["id"], jobs[0]["id"]]
    assert (found[0]["world"], found[0]["world_name"], found[0]["name"]) == (
        record["id"],
        "World 5",
        "300 x 150 px, PNG",
    )


def test_a_job_of_a_deleted_world_has_no_world_name(client: Client) -> None:
    record = client.new_world()
    job = wait_for_job(client, export(client, record))
    client.ask("DELETE", f"/worlds/{record['id']}")
    assert client.get(f"/jobs/{job['id']}").json()["world_name"] is None


def test_a_job_that_fails_unexpectedly_does_not_tell_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = board_of(tmp_path, lambda job: 1 // 0)
    board.start()
    job = run_on(board)
    board.stop(1)
    assert (job.state, job.error) == ("failed", "internal server error; see the server log")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_failing(job: Job) -> None:
    raise LimitError("too large")


def run_for_ever(job: Job) -> None:
    while True:
        job.report(0, 1)
        time.sleep(0.05)


def test_a_job_that_takes_too_long_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_JOB_SECONDS", "1")
    board = board_of(tmp_path, run_for_ever)
    board.start()
    job = run_on(board)
    board.stop(1)
    assert (job.state, "INFGEN_JOB_SECONDS" in str(job.error)) == ("failed", True)


def test_jobs_that_were_not_finished_are_done_after_a_restart(tmp_path: Path) -> None:
    job = submit_to(board_of(tmp_path))
    again = board_of(tmp_path)
    assert again.get(job.id).state == "queued"
    again.start()
    until(lambda: again.get(job.id).state == "done")
    again.stop(1)


def test_a_running_job_begins_again_after_a_stop_with_its_uploads(tmp_path: Path) -> None:
    board = board_of(tmp_path, run_for_ever)
    board.start()
    job = submit_to(board)
    (job.folder / "upload-1").touch()
    (job.folder / "part").touch()
    until(lambda: job.state == "running")
    board.stop(5)
    again = board_of(tmp_path).get(job.id)
    assert (again.state, again.starts) == ("queued", 0)
    assert names(again.folder) == ["job.json", "upload-1"]


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_job_ends_after_its_record_is_written_and_its_uploads_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    found: list[tuple[str, list[str]]] = []
    board = board_of(tmp_path, run_failing if state == "failed" else lambda job: None)
    job = board.new("export", "world")
    (job.folder / "upload-1").touch()
    update = Job.__setattr__

    def watch(self: Job, name: str, value: Any) -> None:
        if (name, value) == ("state", state):
            found.append((json.loads((self.folder / "job.json").read_text())["state"], names(self.folder)))
        update(self, name, value)

    monkeypatch.setattr(Job, "__setattr__", watch)
    board.start()
    board.submit(job)
    until(lambda: job.ended)
    board.stop(1)
    assert found == [(state, ["job.json"])]


def test_uploads_that_a_stopped_server_left_are_removed(tmp_path: Path) -> None:
    job = submit_to(board_of(tmp_path))
    path = job.folder / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "done"}))
    (job.folder / "upload-1").touch()
    board_of(tmp_path)
    assert names(job.folder) == ["job.json"]


def test_a_job_that_stops_the_server_each_time_fails(tmp_path: Path) -> None:
    job = submit_to(board_of(tmp_path))
    path = job.folder / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running", "starts": 3}))
    again = board_of(tmp_path).get(job.id)
    assert (again.state, "request less" in str(again.error)) == ("failed", True)


def test_a_job_of_an_older_version_fails_after_a_restart(tmp_path: Path) -> None:
    job = submit_to(board_of(tmp_path))
    values = json.loads((job.folder / "job.json").read_text())
    kept = ("id", "kind", "world", "created", "state", "done", "total", "region", "revision", "result", "error")
    (job.folder / "job.json").write_text(json.dumps({name: values[name] for name in kept}))
    assert board_of(tmp_path).get(job.id).state == "failed"


def test_only_so_many_finished_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_KEPT_JOBS", "2")
    board = board_of(tmp_path)
    board.start()
    for _ in range(4):
        run_on(board)
    board.stop(5)
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_too_many_jobs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.serve.errors import BusyError

    monkeypatch.setenv("INFGEN_MAX_JOBS", "1")
    board = board_of(tmp_path)
    board.new("export", "0" * 12)
    with pytest.raises(BusyError, match="cancel one"):
        board.new("export", "0" * 12)

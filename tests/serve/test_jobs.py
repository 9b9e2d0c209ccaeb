"""Export jobs, and the life cycle of all jobs: results, progress, cancellation, restart."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infgen.cli.main import main
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


def run_on(board: JobBoard, work: Callable[[Job], None]) -> Job:
    job = board.new("export", "0" * 12)
    board.submit(job, work)
    until(lambda: job.ended)
    return job


def test_a_job_that_fails_unexpectedly_does_not_tell_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = JobBoard(Storage(tmp_path))
    board.start()
    job = run_on(board, lambda job: 1 // 0)
    board.stop(1)
    assert (job.state, job.error) == ("failed", "internal server error; see the server log")


def test_a_job_that_takes_too_long_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_JOB_SECONDS", "1")
    board = JobBoard(Storage(tmp_path))
    board.start()

    def slow(job: Job) -> None:
        while True:
            job.report(0, 1)
            time.sleep(0.05)

    job = run_on(board, slow)
    board.stop(1)
    assert (job.state, "INFGEN_JOB_SECONDS" in str(job.error)) == ("failed", True)


def test_jobs_that_were_not_finished_have_failed_after_a_restart(tmp_path: Path) -> None:
    board = JobBoard(Storage(tmp_path))
    job = board.new("export", "0" * 12)
    board.submit(job, lambda job: None)
    again = JobBoard(Storage(tmp_path)).get(job.id)
    assert (again.state, "start it again" in str(again.error)) == ("failed", True)


def test_stopping_cancels_jobs_and_keeps_their_state(tmp_path: Path) -> None:
    board = JobBoard(Storage(tmp_path))
    job = board.new("export", "0" * 12)
    board.submit(job, lambda job: None)
    board.stop(1)
    assert JobBoard(Storage(tmp_path)).get(job.id).state == "cancelled"


def test_only_so_many_finished_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_KEPT_JOBS", "2")
    board = JobBoard(Storage(tmp_path))
    board.start()
    for _ in range(4):
        run_on(board, lambda job: None)
    board.stop(5)
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_too_many_jobs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.serve.errors import BusyError

    monkeypatch.setenv("INFGEN_MAX_JOBS", "1")
    board = JobBoard(Storage(tmp_path))
    board.new("export", "0" * 12)
    with pytest.raises(BusyError, match="cancel one"):
        board.new("export", "0" * 12)

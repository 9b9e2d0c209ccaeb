"""Log lines of the server: time, level, one line a request, JSON on request, and no flood."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infgen.serve.logs import ACCESS, FIELDS, Throttle, configure_logging
from tests.log_state import restored_logging
from tests.serve.client import Client
from tests.serve.process import serving


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    with restored_logging():
        yield


def test_a_line_has_time_level_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", access=False)
    logging.getLogger("infgen.serve.test").warning("the disk is %s", "full")
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 WARNING infgen\.serve\.test: the disk is full\n", line)


def test_a_request_cannot_write_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", access=False)
    logging.getLogger("infgen.serve.test").warning("GET /%s", "a\nb\x1b[2J")
    line = capsys.readouterr().err
    assert line.endswith(r"GET /a\nb\x1b[2J" + "\n")


def test_a_line_of_json_has_the_same_and_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", access=False)
    try:
        raise ZeroDivisionError("x")
    except ZeroDivisionError:
        logging.getLogger("infgen.serve.test").exception("failed\nhere")
    values = json.loads(capsys.readouterr().err)
    assert (values["level"], values["logger"], values["message"]) == ("error", "infgen.serve.test", "failed\nhere")
    assert "ZeroDivisionError" in values["traceback"]


@pytest.mark.parametrize("access", [True, False])
def test_requests_are_logged_on_request(capsys: pytest.CaptureFixture[str], access: bool) -> None:
    configure_logging("json", access=access)
    logging.getLogger(ACCESS).info("GET /", extra={FIELDS: {"status": 200}})
    found = capsys.readouterr().err
    assert (json.loads(found)["status"] == 200) if access else found == ""


def test_equal_warnings_are_not_repeated(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(logging.getLogger("infgen.serve.test"))
    for number in range(100):
        throttle.warning("refused %d", number)
    assert caplog.text.count("refused") == 1
    monkeypatch.setattr("infgen.serve.logs.SECONDS", 0)
    throttle.warning("refused %d", 100)
    assert caplog.text.count("refused") == 2


@pytest.mark.parametrize("status", [503, 507])
def test_every_failure_of_the_server_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from infgen.serve.errors import StoppingError, StorageError

    def fail(size: int) -> None:
        raise StoppingError("stopping") if status == 503 else StorageError("full")

    monkeypatch.setattr(client.canvas.storage, "require", fail)
    assert client.post("/worlds", json={}).status_code == status
    assert f"POST /api/v1/worlds: {status}" in caplog.text


def test_a_server_writes_nothing_but_json_if_told_so(tiny_model: Path, tmp_path: Path) -> None:
    options = ("--model", tiny_model, "--log-format", "json", "--access-log", "--token", "0123456789abcdef")
    with (tmp_path / "log").open("w") as log, serving(tmp_path / "data", *options, log=log) as server:
        with server.client() as client:
            assert client.get("/?token=0123456789abcdef").status_code == 303
        assert server.terminate() == 0
    lines = (tmp_path / "log").read_text().splitlines()
    requests = [json.loads(line) for line in lines]
    assert [line["status"] for line in requests if line.get("path") == "/"] == [303]
    assert [line for line in lines if "0123456789abcdef" in line] == []

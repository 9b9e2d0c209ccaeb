"""``infgen serve`` refuses what would be unsafe or cannot work, before anything is loaded."""

import socket
from pathlib import Path

import pytest

from infgen.cli.serve import default_data, is_loopback, page_url
from tests.cli.conftest import Call


def test_other_machines_are_let_in_with_a_token_only(call: Call) -> None:
    code, _, said = call("serve", "--host", "0.0.0.0")
    assert (code, "no token" in said) == (2, True)


def test_a_token_that_is_easily_guessed_is_refused(call: Call) -> None:
    code, _, said = call("serve", "--token", "secret")
    assert (code, "6 characters" in said) == (2, True)


def test_a_port_that_is_taken_is_named(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, said = call("serve", "--port", taken.getsockname()[1])
    assert (code, "cannot listen on" in said) == (2, True)


def test_a_missing_model_is_refused_in_one_line(call: Call, tmp_path: Path) -> None:
    code, _, said = call("serve", "--port", 0, "--model", tmp_path / "none.safetensors", "--data", tmp_path / "data")
    assert (code, said.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_only_this_machine_reaches_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_the_address_holds_the_token() -> None:
    assert page_url("::1", 80, "a b") == "http://[::1]:80/?token=a%20b"


def test_data_lie_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_data() == tmp_path / "infgen"

"""``infgen serve`` refuses what would be unsafe or cannot work, before anything is loaded."""

import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from infgen.cli.main import cli
from infgen.cli.serve import allowed_hosts, command, default_data, is_loopback, page_url, print_address
from tests.cli.conftest import Call
from tests.log_state import restored_logging


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    with restored_logging():
        yield


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


@pytest.mark.parametrize(
    ("host", "root", "url"),
    [("::1", "", "http://[::1]:80/"), ("localhost", "/canvas/", "http://localhost:80/canvas/")],
)
def test_the_address_has_the_prefix(host: str, root: str, url: str) -> None:
    assert page_url(host, 80, root) == url


@pytest.mark.parametrize(("terminal", "shown"), [(True, "http://a/?token=b%20c"), (False, "http://a/")])
def test_only_a_terminal_sees_the_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, shown: str
) -> None:
    monkeypatch.setattr("infgen.cli.serve.sys.stdout.isatty", lambda: terminal)
    print_address("http://a/", "b c")
    assert capsys.readouterr().out == f"{shown}\n"


@pytest.mark.parametrize(
    ("host", "extra", "names"),
    [("127.0.0.1", (), {"localhost", "127.0.0.1", "::1"}), ("0.0.0.0", ("a.example",), {"a.example", "localhost"})],
)
def test_named_hosts_and_loopback_are_allowed(host: str, extra: tuple[str, ...], names: set[str]) -> None:
    assert names <= set(allowed_hosts(host, extra) or ())


def test_a_server_for_other_machines_allows_every_name_unless_some_are_given() -> None:
    assert allowed_hosts("0.0.0.0", ()) is None


def test_every_option_has_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "HOST": "0.0.0.0",
        "PORT": "1",
        "DATA": "d",
        "MODEL": "m",
        "ENGINE": "onnx",
        "ENGINE_FILE": "e",
        "THREADS": "3",
        "TOKEN": "0123456789abcdef",
        "ALLOW_HOST": "a b",
        "ROOT_PATH": "/c",
        "TRUST_PROXY": "::1",
        "LOG_FORMAT": "json",
        "ACCESS_LOG": "1",
        "OPEN": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"INFGEN_{name}", value)
    found = command.make_context("serve", [], parent=click.Context(cli, info_name="infgen")).params
    assert found == {
        "host": "0.0.0.0",
        "port": 1,
        "data": Path("d"),
        "model": "m",
        "engine": "onnx",
        "engine_file": "e",
        "threads": 3,
        "token": "0123456789abcdef",
        "allow_host": ("a", "b"),
        "root_path": "/c",
        "trust_proxy": ("::1",),
        "log_format": "json",
        "access_log": True,
        "open_page": True,
        "exact": None,
    }


@pytest.mark.parametrize(("option", "value"), [("--root-path", "canvas"), ("--trust-proxy", "localhost")])
def test_an_illegal_proxy_is_refused_in_one_line(call: Call, tmp_path: Path, option: str, value: str) -> None:
    code, out, said = call("serve", "--port", 0, "--data", tmp_path, option, value)
    assert (code, out, repr(value) in said) == (2, "", True)


def test_data_lie_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_data() == tmp_path / "infgen"

"""A real TorchServe on loopback with one archive, for tests and benchmarks.

Python starts Java, and Java the workers: all of them are one process group, which is killed as a whole when the ``with`` block
ends, when TorchServe ends, and when the process that started it dies, however it dies.
"""

import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 90
STOP_SECONDS = 20
REQUEST_SECONDS = 60
_ADDRESSES = ("inference_address", "management_address", "metrics_address")
_GRPC_PORTS = ("grpc_inference_port", "grpc_management_port")
_TOGETHER = '("$@"; kill -9 0) & cat; kill -9 0'  # ends with the command, or with its own standard input


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Server:
    """TorchServe with the model ``name`` at ``port``."""

    name: str
    port: int

    def post(self, document: object, *, content_type: str = "application/json") -> Reply:
        """The answer to ``document``: JSON values, or bytes that are sent as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", f"/predictions/{self.name}", body, {"Content-Type": content_type})

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """The answer to any request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.getheader("Content-Type", ""), response.read())
        finally:
            connection.close()


def missing() -> str | None:
    """Why TorchServe cannot run here, or None."""
    if java() is None:
        return "no Java: TorchServe needs Java 17"
    absent = [name for name in ("ts", "yaml") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def java() -> str | None:
    """The Java that TorchServe would start."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java" if not home else f"{home}/bin/java")


@contextmanager
def serving(archive: Path, *, threads: int = 1) -> Iterator[Server]:
    """Start TorchServe with ``archive`` and one worker of so many ``threads``; yields when it answers.

    Raises RuntimeError with the end of its log where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ts-", ignore_cleanup_errors=True) as name:  # short: sockets live in it
        folder, ports = Path(name), free_ports(len(_ADDRESSES) + len(_GRPC_PORTS))
        settings = folder / "config.properties"
        settings.write_text(_settings(archive, ports))
        command = [sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--ncs", "--disable-token-auth"]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", _TOGETHER, "sh", *command, "--ts-config", str(settings)],
                cwd=folder,
                env=_environment(folder, threads=threads),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            server = Server(archive.stem, ports[0])
            _wait(server, process, folder / "log")
            yield server
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            _wait_until_closed(ports[0])


def free_ports(count: int) -> list[int]:
    """Find different free ports of loopback."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def _settings(archive: Path, ports: list[int]) -> str:
    lines = [f"{key}=http://{HOST}:{port}" for key, port in zip(_ADDRESSES, ports[: len(_ADDRESSES)], strict=True)]
    lines += [f"{key}={port}" for key, port in zip(_GRPC_PORTS, ports[len(_ADDRESSES) :], strict=True)]
    lines += [f"model_store={archive.parent}", f"load_models={archive.name}", "disable_system_metrics=true"]
    lines += ["vmargs=-Xmx512m"]
    return "\n".join(lines) + "\n"


def _environment(folder: Path, *, threads: int) -> dict[str, str]:
    """Temporary files, TorchServe's process id and its worker's socket go into ``folder``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TS_")}
    return kept | {"TMPDIR": str(folder), "TEMP": str(folder), "OMP_NUM_THREADS": str(threads)}


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if b'"Healthy"' in server.ask("GET", "/ping").body:
                return
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"TorchServe was not ready within {START_SECONDS} s or ended; its log ends with:\n{tail}")


def _wait_until_closed(port: int) -> None:
    """A killed process closes its sockets a moment later."""
    end = time.monotonic() + STOP_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.1)

"""A real server process for tests and benchmarks."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from tests.patience import until

ADDRESS = re.compile(r"http://\S+/")


@dataclass(frozen=True)
class Process:
    """A running server at ``url``."""

    popen: "subprocess.Popen[str]"
    url: str

    def client(self) -> httpx.Client:
        """Return a client for paths below the root."""
        return httpx.Client(base_url=self.url, timeout=60)

    def is_ready(self) -> bool:
        """Return whether the server accepts work: it prints its address before it opens the model."""
        return httpx.get(f"{self.url}health/ready", timeout=60).status_code == httpx.codes.OK

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self) -> int:
        """Stop the process with SIGTERM and return its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


def words(data: Path, *options: object) -> list[str]:
    """Return the command line of a server with the data folder ``data``."""
    return [sys.executable, "-m", "infgen", "serve", "--port", "0", "--data", str(data), *map(str, options)]


@contextmanager
def serving(
    data: Path,
    *options: object,
    log: IO[str] | None = None,
    before: Callable[[], None] | None = None,
    **environment: str,
) -> Iterator[Process]:
    """Start a server on a free port; kill it at the end if it still runs.

    ``log``: file for stderr. ``before``: called in the new process before the server.
    """
    popen = subprocess.Popen(
        words(data, "--threads", 1, *options),
        stdout=subprocess.PIPE,
        stderr=log or subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=before,
    )
    assert popen.stdout is not None
    said: list[str] = []
    try:
        for line in popen.stdout:
            said.append(line)
            if found := ADDRESS.search(line):
                process = Process(popen, found[0])
                until(process.is_ready, alive=[popen])
                yield process
                return
        raise AssertionError(f"the server did not start: {''.join(said)}")
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()

"""Fork a child process, which imports nothing again: many kills then take little time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress


class Forked:
    """Runs ``prepare`` and then ``infgen`` with ``words`` in a copy of this process. Waits and ends as a ``Popen`` does."""

    def __init__(self, words: Sequence[str], *, prepare: Callable[[], object] = lambda: None) -> None:
        self.words, self.returncode = list(words), None
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        with suppress(BaseException):
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            code = _run(self.words, prepare)
        os._exit(code)  # without the exit handlers of the parent

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises TimeoutExpired after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(self.words, timeout or 0.0)
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


def _run(words: Sequence[str], prepare: Callable[[], object]) -> int:
    from infgen.cli.main import main

    prepare()
    try:
        main(list(words))
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    finally:
        sys.stderr.flush()
    return 0

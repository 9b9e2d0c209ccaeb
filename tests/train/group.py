"""Start several training processes on this machine, as a launcher does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infgen.cli.main import main


def free_port() -> int:
    """Find a free port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(arguments: list[str], *, count: int) -> list[subprocess.Popen[str]]:
    """Start ``infgen train`` in ``count`` processes, connected as a group if there are several."""
    return launch_python(["-m", "infgen", "train", *arguments], count=count)


def launch_python(arguments: list[str], *, count: int) -> list[subprocess.Popen[str]]:
    """Start Python with these arguments in ``count`` processes, connected as a group if there are several."""
    base = {**os.environ, "OMP_NUM_THREADS": "1"}
    if count > 1:
        base |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        base |= {"LOCAL_WORLD_SIZE": str(count), "GLOO_SOCKET_IFNAME": "lo"}
    processes = []
    for rank in range(count):
        environment = base | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})
        processes.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def finish(processes: list[subprocess.Popen[str]], *, within: float) -> list[tuple[int, str]]:
    """Wait for every process. Returns exit code and standard error of each; kills all on a timeout and raises TimeoutExpired."""
    try:
        results = [(p.communicate(timeout=within)[1], p.returncode) for p in processes]
    except subprocess.TimeoutExpired:
        for process in processes:
            process.kill()
        raise
    return [(code, text) for text, code in results]


def train_in(count: int, photos: Path, out: Path, *options: str) -> None:
    """Train in ``count`` processes to the end, in this process if it is one. Every one must succeed."""
    arguments = [str(photos), "--output", str(out), "--preset", "tiny", "--device", "cpu", "--quiet", *options]
    if count == 1:
        with pytest.raises(SystemExit) as leave:
            main(["train", *arguments])
        assert not leave.value.code
        return
    for code, text in finish(launch(arguments, count=count), within=120):
        assert code == 0, text

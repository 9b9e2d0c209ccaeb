"""How long the canvas server stalls while every route gets its most expensive request.

    python -m benchmarks.stalls                 # the shipped model

The server is a process of its own on this machine. A second client asks for /health/live without a pause; the longest
answer is the stall. Memory is the growth of the server's resident size during one request.
"""

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
import psutil
from rich.table import Table

from benchmarks.render import console, machine
from infgen.serve.app import API
from tests.serve.process import Process, serving
from tests.serve.worst import Attack, attacks, probing, send


def measure(process: Process, attack: Attack, world: str) -> tuple[int, float, float, float]:
    """Status, seconds of the answer, longest stall in s, growth of the server's memory in MiB."""
    server = psutil.Process(process.popen.pid)
    before, sizes, over = server.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            sizes.append(server.memory_info().rss)

    watcher = threading.Thread(target=watch)
    with httpx.Client(base_url=process.url, timeout=300) as client, probing(process.url) as probe:
        watcher.start()
        start = time.perf_counter()
        status = send(client, attack, world).status_code
        took = time.perf_counter() - start
    over.set()
    watcher.join()
    return status, took, probe.longest, (max(sizes) - before) / 2**20


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--only", default="", help="Only requests whose name contains this text.")
def main(model: str | None, only: str) -> None:
    """Measure a server of its own."""
    console.print(machine())
    table = Table("request", "KiB", "status", "answer, s", "stall, s", "memory, MiB")
    worst = 0.0
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), *(() if model is None else ("--model", model))) as process,
    ):
        world = httpx.post(f"{process.url.rstrip('/')}{API}/worlds", json={}).json()["id"]
        for attack in attacks():
            if only in attack.name:
                status, took, stall, memory = measure(process, attack, world)
                worst = max(worst, stall)
                size = str(len(attack.content) // 1024)
                console.print(f"{attack.name}: {status}, {stall:.3f} s")
                table.add_row(attack.name, size, str(status), f"{took:.2f}", f"{stall:.3f}", f"{memory:.0f}")
    console.print(table)
    console.print(f"worst stall: {worst:.3f} s")


if __name__ == "__main__":
    main()

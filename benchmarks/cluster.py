"""A dask cluster on one machine against a render in one process: is the picture the same, and what does it cost?

    python -m benchmarks.cluster                       # scheduler and 3 workers, one of them killed half-way

Both pictures are OME-Zarr of the same plan. On a machine with fewer cores than workers the workers share them, so the overhead
is that of three processes and their messages, not a speed-up.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from rich.table import Table

from benchmarks.render import console, machine
from infgen.model.checkpoint import SHIPPED
from infgen.sinks import find_unfinished

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def start(*words: str) -> subprocess.Popen[bytes]:
    """A Python module as a process of its own, silent."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", *words], env=ENVIRONMENT, stdout=quiet, stderr=quiet)


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and ``count`` connected workers: the address, and the workers' processes."""
    from distributed import Client

    file = folder / "scheduler.json"
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    processes = [start("dask", "scheduler", *words)]
    try:
        while not (file.exists() and file.stat().st_size):
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--local-directory"]
        processes += [start("dask", "worker", address, *options, str(folder / f"worker{i}")) for i in range(count)]
        with Client(address, set_as_default=False, timeout=60) as client:
            client.wait_for_workers(count, timeout=60)
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def render(model: Path, side: int, tile: int, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """``infgen render`` of a square in a process of its own."""
    size = ["--w", str(side), "--h", str(side), "--tile", str(tile)]
    words = ["--quiet", "--threads", "1", "--device", "cpu", "--model", str(model)]
    return start("infgen", "render", *size, *words, "-o", str(out), *more)


def measure(process: subprocess.Popen[bytes]) -> float:
    """Seconds until ``process`` ends well."""
    begin = time.monotonic()
    if (code := process.wait()) != 0:
        raise click.ClickException(f"a render ended with exit code {code}")
    return time.monotonic() - begin


def digest(store: Path) -> str:
    """SHA-256 over all chunks of a store, with their names."""
    whole = hashlib.sha256()
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        whole.update(str(path.relative_to(store)).encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=SHIPPED)
@click.option("--side", default=4096, show_default=True)
@click.option("--tile", default=517, show_default=True)
@click.option("--workers", default=3, show_default=True)
def main(model: Path, side: int, tile: int, workers: int) -> None:
    """Draw a picture alone, on a cluster, and on a cluster that loses a worker; exit code 1 where they differ."""
    torch.set_num_threads(1)
    table = Table("who", "seconds", "against alone", "picture", title=f"{side} x {side} px, tiles of {tile} px")
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("alone", "lost0", "lost1"):  # the name of a picture is in its metadata
            (folder / part).mkdir()
        alone = measure(render(model, side, tile, folder / "alone" / "out.zarr"))
        expected = digest(folder / "alone" / "out.zarr")
        table.add_row("one process, one thread", f"{alone:.1f}", "1.00", expected[:12])
        found = {expected}
        for lost in (0, 1):
            out = folder / f"lost{lost}" / "out.zarr"
            with cluster(folder, workers) as (address, processes):
                process = render(model, side, tile, out, "--scheduler", address)
                begin = time.monotonic()
                if lost:
                    while process.poll() is None and not half_done(out):
                        time.sleep(0.05)
                    processes[0].kill()
                measure(process)
                seconds = time.monotonic() - begin
            found.add(digest(out))
            title = f"{workers} workers" + (", one killed half-way" if lost else "")
            table.add_row(title, f"{seconds:.1f}", f"{seconds / alone:.2f}", digest(out)[:12])
            (folder / "scheduler.json").unlink()
    console.print(machine())
    console.print(table)
    console.print("all equal" if len(found) == 1 else "DIFFERENT")
    sys.exit(len(found) != 1)


def half_done(out: Path) -> bool:
    """Whether half of the tiles are in the store."""
    kept = find_unfinished(str(out))
    return kept is not None and 2 * kept[0] >= kept[1]


if __name__ == "__main__":
    main()

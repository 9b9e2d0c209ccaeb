"""How fast the canvas server is: first tile, full view, tiles per second, zoom levels, and how it takes a crowd.

    python -m benchmarks.serve                              # the shipped model, on as many threads as there are cores
    python -m benchmarks.serve --load 60 --clients 200      # and a crowd that asks for random tiles
    python -m benchmarks.serve --only-load --load 60 --slow 250   # while slow clients send half a header each

The server is a process of its own on this machine. A view is 1280 x 800 px: 6 x 5 tiles, asked for by four requests at a time, as
the page does. "Cold" is a world that was never asked for, "warm" the same tiles again.
"""

import asyncio
import math
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import httpx
import psutil
from rich.table import Table

from benchmarks.render import console, machine
from infgen.serve.app import API
from tests.serve.process import Process, serving

COLUMNS, ROWS = 6, 5
PARALLEL = 4
DISCONNECTED = 0  # in the place of a status
FAR = 2**20  # tiles: random places lie within so many of the origin
Place = tuple[int, int, int]  # z, x, y


def view(z: int, x: int = 0) -> list[Place]:
    """The tiles of a view around the horizon, from the middle outwards."""
    places = [(z, x + i, j - ROWS // 2) for j in range(ROWS) for i in range(COLUMNS)]
    return sorted(places, key=lambda place: (place[1] - x - COLUMNS / 2) ** 2 + place[2] ** 2)


async def new_world(client: httpx.AsyncClient, seed: int) -> str:
    """The address of tiles of a new world."""
    record = (await client.post(f"{API}/worlds", json={"world": {"seed": seed}})).json()
    return f"{API}/worlds/{record['id']}/{record['revision']}/tiles"


async def fetch(client: httpx.AsyncClient, root: str, places: Sequence[Place], *, parallel: int) -> list[float]:
    """Seconds after which each tile was there, in the order of arrival. Asks again when it is told to, as the page does."""
    start, arrivals, left = time.perf_counter(), [], list(reversed(places))

    async def worker() -> None:
        while left:
            z, x, y = left.pop()
            while (answer := await client.get(f"{root}/{z}/{x}/{y}.webp")).status_code == HTTPStatus.TOO_MANY_REQUESTS:
                await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer.raise_for_status()
            arrivals.append(time.perf_counter() - start)

    await asyncio.gather(*(worker() for _ in range(parallel)))
    return arrivals


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


async def speeds(url: str, least: int | None, table: Table) -> None:
    """Rows of first tile and full view, cold and warm, at each level from 0 to ``least``, None: to the model's last one."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        zoom = (await client.get(f"{API}/info")).json()["zoom"]
        last = zoom["min"] if least is None else max(zoom["min"], least)
        levels = range(0, last - 1, -1)
        await fetch(client, await new_world(client, 999), [(z, 0, 0) for z in levels], parallel=1)  # warms up
        for z in levels:
            root = await new_world(client, 1000 + z)
            title = "picture" if z in zoom["pictures"] else "mean"
            for state in ("cold", "warm"):
                arrivals = await fetch(client, root, view(z), parallel=PARALLEL)
                rate = len(arrivals) / arrivals[-1]
                table.add_row(str(z), title, state, f"{arrivals[0]:.3f}", f"{arrivals[-1]:.2f}", f"{rate:.1f}")


async def crowds(url: str, table: Table) -> None:
    """Rows of tiles per second for 1 and 16 clients: neighbours, and random places."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        for clients in (1, 16):
            for title in ("neighbours", "random places"):
                chance = random.Random(clients)
                places = view(0, x=100 * clients)
                if title == "random places":
                    places = [(0, chance.randrange(-FAR, FAR), chance.randrange(-2, 2)) for _ in places]
                arrivals = await fetch(client, await new_world(client, clients), places, parallel=clients)
                table.add_row(title, str(clients), f"{len(arrivals) / arrivals[-1]:.1f}")


async def load(process: Process, *, seconds: float, clients: int, slow: int) -> None:
    """Random tiles for ``clients`` who ask again at once, or after Retry-After. ``slow``: sockets with half a header."""
    answers: list[tuple[int, float]] = []
    health: list[float] = []
    server, sizes = psutil.Process(process.popen.pid), []
    limits = httpx.Limits(max_connections=clients + 2, max_keepalive_connections=clients + 2)
    async with (
        httpx.AsyncClient(base_url=process.url, timeout=600, limits=limits) as client,
        httpx.AsyncClient(base_url=process.url, timeout=600) as monitor,
    ):
        root, end = await new_world(client, 1), time.monotonic() + seconds

        async def visitor(number: int) -> None:
            chance = random.Random(number)
            while time.monotonic() < end:
                start = time.perf_counter()
                try:
                    answer = await client.get(f"{root}/0/{chance.randrange(-FAR, FAR)}/{chance.randrange(-2, 2)}.webp")
                except httpx.TransportError:  # the server has closed an idle connection; a browser asks again, too
                    answers.append((DISCONNECTED, time.perf_counter() - start))
                    continue
                answers.append((answer.status_code, time.perf_counter() - start))
                await asyncio.sleep(float(answer.headers.get("Retry-After", 0)))

        async def observer() -> None:
            while time.monotonic() < end:
                sizes.append((server.memory_info().rss / 2**20, server.num_fds()))
                await asyncio.sleep(0.5)

        async def pulse() -> None:
            while time.monotonic() < end:
                start = time.perf_counter()
                (await monitor.get("/health/live")).raise_for_status()
                health.append(time.perf_counter() - start)
                await asyncio.sleep(0.05)

        slow_ones = (hang(httpx.URL(process.url), until=end) for _ in range(slow))
        await asyncio.gather(observer(), pulse(), *(visitor(number) for number in range(clients)), *slow_ones)
    report_load(answers, health, sizes, title=f"{clients} clients and {slow} slow ones for {seconds:g} s")


async def hang(url: httpx.URL, *, until: float) -> None:
    """Send half a header, and do it again on a new connection whenever the server has closed the last one."""
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            async with asyncio.timeout(max(0.1, until - time.monotonic())):
                await reader.read()
            writer.close()
        except (OSError, TimeoutError):
            await asyncio.sleep(0.1)


def report_load(
    answers: Sequence[tuple[int, float]], health: Sequence[float], sizes: Sequence[tuple[float, int]], *, title: str
) -> None:
    """Print statuses, times of tiles and of /health/live, and memory and descriptors in both halves."""
    drawn = [took for status, took in answers if status == HTTPStatus.OK] or [math.nan]
    console.print(f"{title}: {dict(Counter(status for status, _ in answers))}")
    for name, times in (("tiles", drawn), ("/health/live", health)):
        shares = ", ".join(f"p{p} {percentile(times, p):.3f}" for p in (50, 95, 99))
        console.print(f"{name}, s: {shares}, longest {max(times):.3f}")
    half = len(sizes) // 2
    for name, column, unit in (("memory", 0, "MiB"), ("descriptors", 1, "")):
        first, second = (max(size[column] for size in part) for part in (sizes[:half], sizes[half:]))
        console.print(f"{name}: at most {first:.0f} {unit} in the first half, {second:.0f} {unit} in the second")


@click.command()
@click.option("--model", help="Model file. [default: the shipped model]")
@click.option("--threads", type=int, default=os.cpu_count(), show_default=True)
@click.option("--least", type=click.IntRange(max=0), help="Farthest level measured. [default: the model's last one]")
@click.option("--load", "load_seconds", type=float, default=0.0, help="Seconds of a crowd; 0: none.")
@click.option("--clients", type=int, default=200, show_default=True, help="Of the crowd.")
@click.option("--slow", type=int, default=0, show_default=True, help="Sockets with half a header, next to the crowd.")
@click.option("--only-load", is_flag=True, help="Nothing but the crowd.")
def main(
    model: str | None, threads: int, least: int | None, load_seconds: float, clients: int, slow: int, only_load: bool
) -> None:
    """Measure a server of its own."""
    console.print(machine())
    options: list[Any] = ["--threads", threads] + ([] if model is None else ["--model", model])
    with TemporaryDirectory() as folder:
        if not only_load:
            times = Table("z", "tiles are", "cache", "first tile, s", "view, s", "tiles/s")
            with serving(Path(folder) / "levels", *options) as process:
                asyncio.run(speeds(process.url, least, times))
            console.print(times)
            rates = Table("tiles", "clients", "tiles/s")
            with serving(Path(folder) / "rates", *options) as process:
                asyncio.run(crowds(process.url, rates))
            console.print(rates)
        with serving(Path(folder) / "load", *options) if load_seconds else nullcontext() as crowd:
            if crowd is not None:
                asyncio.run(load(crowd, seconds=load_seconds, clients=clients, slow=slow))


if __name__ == "__main__":
    main()

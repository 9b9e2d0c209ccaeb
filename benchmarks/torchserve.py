"""How long TorchServe takes for a window, with one client and with several, against the same windows drawn without it.

    python -m benchmarks.torchserve                    # the shipped model, 100 windows of 256 x 256 px, 1 and 4 clients
    python -m benchmarks.torchserve --side 512 --threads 2

TorchServe runs on this machine with one worker. A client asks for its next window when it has the last one. Windows lie side by
side in one world, as when somebody pans; in "other worlds" each is of a world that was not asked for before. One client and the
direct way take turns, a window each. Every answer is compared byte by byte with what is drawn directly; the rest is lost.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.table import Table

from benchmarks.render import console, machine
from infgen.errors import MissingExtraError
from infgen.export.torchserve import export_torchserve
from infgen.export.torchserve_handler import encode_picture
from infgen.geometry import Region
from infgen.model.checkpoint import SHIPPED
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.world.world import World
from tests.export.torchserve_server import Server, missing, serving

Window = dict[str, int]  # a request
Ask = Callable[[Window], bytes | None]


@dataclass(frozen=True)
class Run:
    """Seconds of each request in order, seconds of all together, and how many answers were missing or wrong."""

    title: str
    latencies: Sequence[float]
    seconds: float
    lost: int

    def row(self) -> list[str]:
        """For the table."""
        shown = [percentile(self.latencies, p) for p in (50, 95, 100)]
        rate = len(self.latencies) / self.seconds
        return [
            self.title,
            str(len(self.latencies)),
            *(f"{1000 * s:.0f}" for s in shown),
            f"{rate:.1f}",
            str(self.lost),
        ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def windows(count: int, side: int, *, first_seed: int | None = None) -> list[Window]:
    """Windows side by side in world 7, or each in a world of its own."""
    seeds = [7] * count if first_seed is None else range(first_seed, first_seed + count)
    return [{"seed": seed, "x": side * i, "y": -side // 2, "w": side, "h": side} for i, seed in enumerate(seeds)]


def measure(ask: Ask, request: Window) -> tuple[float, bytes | None]:
    """Seconds and answer of one request."""
    start = time.perf_counter()
    answer = ask(request)
    return time.perf_counter() - start, answer


def run_of(title: str, found: list[tuple[float, bytes | None]], expected: list[bytes], *, seconds: float) -> Run:
    """Answers compared with pictures."""
    lost = sum(answer != picture for (_, answer), picture in zip(found, expected, strict=True))
    return Run(title, [latency for latency, _ in found], seconds, lost)


def in_turn(server: Server, alone: Ask, requests: list[Window], *, title: str) -> list[Run]:
    """Each request directly, then over HTTP."""
    ask = over_http(server)
    pairs = [(measure(alone, request), measure(ask, request)) for request in requests]
    expected = [answer for (_, answer), _ in pairs if answer is not None]
    kinds = zip(("directly", "1 client"), zip(*pairs, strict=True), strict=True)
    return [run_of(title + kind, list(f), expected, seconds=sum(s for s, _ in f)) for kind, f in kinds]


def together(server: Server, alone: Ask, requests: list[Window], *, clients: int) -> Run:
    """All requests over HTTP, from so many clients at the same time."""
    ask, start = over_http(server), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda request: measure(ask, request), requests))
    seconds = time.perf_counter() - start
    return run_of(f"{clients} clients", found, [alone(r) or b"" for r in requests], seconds=seconds)


def direct(studio: Studio) -> Ask:
    """Draw and encode in this process. The studio of the last world is kept."""
    last: list[tuple[int, Studio]] = []

    def ask(request: Window) -> bytes:
        if not last or last[0][0] != request["seed"]:
            last[:] = [(request["seed"], studio.with_world(World(seed=request["seed"])))]
        here, region = last[0][1], Region(*(request[k] for k in "xywh"))
        return encode_picture(here.array(region), here.provenance(here.plan(region)), file_format="png")

    return ask


def over_http(server: Server) -> Ask:
    """Ask TorchServe, with a new connection each time."""

    def ask(request: Window) -> bytes | None:
        try:
            reply = server.post(request)
        except OSError:
            return None
        return reply.body if reply.status == 200 else None

    return ask


@contextmanager
def start_server(model: Path, threads: int) -> Iterator[Server]:
    """TorchServe with ``model`` loaded."""
    with TemporaryDirectory() as folder:
        archive = Path(folder, "model.mar")
        export_torchserve(model, archive)
        with serving(archive, threads=threads) as server:
            server.post({"x": 0, "y": 0, "w": 1, "h": 1})  # waits until the worker has the model
            yield server


@click.command()
@click.option(
    "--model", type=click.Path(path_type=Path), default=SHIPPED, help="Model file. [default: the shipped model]"
)
@click.option("--side", default=256, show_default=True, help="Of the windows, px.")
@click.option("--requests", "count", default=100, show_default=True)
@click.option("--clients", default=4, show_default=True, help="At the same time, in the runs with several.")
@click.option("--threads", default=1, show_default=True, help="CPU threads of the worker.")
def main(model: Path, side: int, count: int, clients: int, threads: int) -> None:
    """Measure; see the module's docstring."""
    if reason := missing():
        raise MissingExtraError(f"TorchServe cannot run here: {reason}")
    studio = open_studio(World(seed=7), model=model, options=Options(threads=threads, device="cpu"))
    alone, pan = direct(studio), windows(count, side)
    with start_server(model, threads) as server:
        runs = in_turn(server, alone, pan, title="")
        runs += in_turn(server, alone, windows(count, side, first_seed=1000), title="other worlds, ")
        runs.append(together(server, alone, pan, clients=clients))
    title = f"{model.name}, windows of {side} x {side} px as PNG"
    table = Table("", "requests", "median, ms", "95 %, ms", "longest, ms", "a second", "lost", title=title)
    for run in runs:
        table.add_row(*run.row())
    console.print(table)
    console.print(machine())


if __name__ == "__main__":
    main()

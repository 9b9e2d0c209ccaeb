"""Lives of pool processes for tests, and a plan of nine batches: light to import, for every process does."""

import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from infgen.errors import InputError
from infgen.sinks.grid import Grid

POISON = 4  # the batch that goes wrong


@dataclass(frozen=True)
class Tile:
    number: int


@dataclass(frozen=True)
class Region:
    pixels: int = 9 * 4


@dataclass(frozen=True)
class Plan:
    """Nine batches of one tile of 2 x 2 px."""

    batch: int = 1
    batch_count: int = 9
    tile_count: int = 9
    region: Region = Region()

    @property
    def grid(self) -> Grid:
        return Grid(18, 2, 2, 2)

    def batch_tiles(self, index: int) -> list[Tile]:
        return [Tile(index)]


def draw(index: int) -> tuple[int, list[tuple[int, Any]]]:
    return index, [(index, np.full((2, 2, 3), index, np.uint8))]


def healthy(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    while (index := connection.recv()) is not None:
        connection.send(draw(index))


def failing(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    while (index := connection.recv()) is not None:
        connection.send((index, "RuntimeError: out of memory") if index == POISON else draw(index))


def dying(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    while (index := connection.recv()) is not None:
        if index == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send(draw(index))


def dying_once(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    """``spec`` names a file that records the fault."""
    while (index := connection.recv()) is not None:
        if index == POISON and not os.path.exists(spec):
            open(spec, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send(draw(index))


def stillborn(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    os._exit(7)


def unusable(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    connection.send(InputError(f"device {device!r} cannot be used here"))


def slow(connection: Connection, spec: str, plan: Plan, device: str) -> None:
    time.sleep(60)

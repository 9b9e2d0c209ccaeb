"""The tile queue: order, sharing, capacity, deadlines. The fake renderer returns numbers."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from infgen.errors import InfgenError
from infgen.pixels import Pixels
from infgen.serve.errors import BusyError, DeadlineError, StoppingError
from infgen.serve.tiles.queue import TileQueue


@dataclass(frozen=True)
class Item:
    key: str
    group: object
    cost: float = 1.0
    rank: int = 1


def item(name: str) -> Item:
    """Return an item; names with the same first letter share a group."""
    return Item(name, name[0])


class Studio:
    """Fake renderer that runs on demand and records its calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.open = threading.Event()
        self.began = threading.Event()

    def draw(self, works: Sequence[Item]) -> dict[str, Pixels]:
        self.calls.append([work.key for work in works])
        self.began.set()
        self.open.wait(10)
        if works[0].key == "bad":
            raise InfgenError("cannot be drawn")
        return {work.key: np.zeros((1, 1, 3), np.uint8) for work in works}


def run(studio: Studio, test: Callable[[TileQueue[Item]], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        with ThreadPoolExecutor(1) as engine, ThreadPoolExecutor(1) as encoders:
            queue = TileQueue(studio.draw, lambda key, pixels: key.encode(), engine=engine, encoders=encoders)
            working = asyncio.create_task(queue.run())
            try:
                await test(queue)
            finally:
                studio.open.set()
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

    asyncio.run(whole())


async def begun(studio: Studio) -> None:
    await asyncio.to_thread(studio.began.wait, 10)


async def ask(queue: TileQueue[Item], *names: str) -> list[asyncio.Task[bytes]]:
    tasks = [asyncio.create_task(queue.get(item(name))) for name in names]
    await asyncio.sleep(0)
    return tasks


def test_the_newest_is_drawn_first() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "first")
        await begun(studio)
        tasks += await ask(queue, "a", "b", "c")
        studio.open.set()
        assert await asyncio.gather(*tasks) == [b"first", b"a", b"b", b"c"]

    run(studio, test)
    assert studio.calls == [["first"], ["c"], ["b"], ["a"]]


def test_first_pictures_come_before_tiles_and_pictures_of_styles_after_them() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "first")
        await begun(studio)
        for name, rank in (("view", 0), ("tile", 1), ("style", 2)):
            tasks.append(asyncio.create_task(queue.get(Item(name, name, rank=rank))))
        await asyncio.sleep(0)
        studio.open.set()
        await asyncio.gather(*tasks)

    run(studio, test)
    assert studio.calls == [["first"], ["view"], ["tile"], ["style"]]


def test_in_a_full_queue_a_picture_of_a_style_goes_before_an_older_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_QUEUE", "2")
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "first")
        await begun(studio)
        tasks += await ask(queue, "a", "b")
        with pytest.raises(BusyError):
            await queue.get(Item("style", "style", rank=2))
        studio.open.set()
        assert await asyncio.gather(*tasks) == [b"first", b"a", b"b"]

    run(studio, test)


def test_requests_over_the_age_limit_are_rendered_before_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_TILE_SECONDS", "3")
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        queue.unit_seconds = 0.01
        tasks = await ask(queue, "first")
        await begun(studio)
        tasks += await ask(queue, "old")
        await asyncio.sleep(1.05)
        tasks += await ask(queue, "new")
        studio.open.set()
        await asyncio.gather(*tasks)

    run(studio, test)
    assert studio.calls == [["first"], ["old"], ["new"]]


def test_a_tile_that_two_ask_for_is_drawn_once() -> None:
    studio = Studio()
    studio.open.set()

    async def test(queue: TileQueue[Item]) -> None:
        assert await asyncio.gather(*await ask(queue, "a", "a", "a")) == [b"a"] * 3

    run(studio, test)
    assert studio.calls == [["a"]]


def test_a_tile_that_is_being_drawn_is_not_drawn_again() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "a")
        await begun(studio)
        tasks += await ask(queue, "a")
        studio.open.set()
        await asyncio.gather(*tasks)

    run(studio, test)
    assert studio.calls == [["a"]]


def test_compatible_tiles_share_a_batch() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "first")
        await begun(studio)
        tasks += await ask(queue, "a1", "b1", "a2", "b2", "a3")
        studio.open.set()
        await asyncio.gather(*tasks)

    run(studio, test)
    assert studio.calls == [["first"], ["a1", "a2", "a3"], ["b1", "b2"]]


def test_an_abandoned_tile_is_not_rendered() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "first")
        await begun(studio)
        (left,) = await ask(queue, "left")
        left.cancel()
        await asyncio.sleep(0)
        studio.open.set()
        await asyncio.gather(*tasks)
        assert (len(queue), queue.dropped) == (0, 1)

    run(studio, test)
    assert studio.calls == [["first"]]


def test_one_of_two_who_wait_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        first, second = await ask(queue, "a", "a")
        first.cancel()
        await asyncio.sleep(0)
        studio.open.set()
        assert await second == b"a"

    run(studio, test)


def test_in_a_full_queue_the_oldest_are_sent_away_with_a_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_QUEUE", "2")
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        first = await ask(queue, "first")
        await begun(studio)
        oldest, *others = await ask(queue, "a", "b", "c")
        with pytest.raises(BusyError) as busy:
            await oldest
        assert busy.value.retry_after >= 1
        studio.open.set()
        assert await asyncio.gather(*first, *others) == [b"first", b"b", b"c"]

    run(studio, test)


def test_a_queue_that_would_take_too_long_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_TILE_SECONDS", "30")
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        queue.unit_seconds = 4.0  # ten seconds are two and a half tiles
        first = await ask(queue, "first")
        await begun(studio)
        oldest, *others = await ask(queue, "a", "b", "c")
        with pytest.raises(BusyError):
            await oldest
        studio.open.set()
        await asyncio.gather(*first, *others)

    run(studio, test)


def test_a_tile_that_is_not_drawn_in_time_ends_its_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_TILE_SECONDS", "1")
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        with pytest.raises(DeadlineError, match="within 1 s"):
            await queue.get(item("a"))

    run(studio, test)


def test_an_error_reaches_all_requests_for_the_tile_and_the_next_tile_is_rendered() -> None:
    studio = Studio()
    studio.open.set()

    async def test(queue: TileQueue[Item]) -> None:
        for _ in range(2):
            with pytest.raises(InfgenError, match="cannot be drawn"):
                await queue.get(item("bad"))
        assert await queue.get(item("good")) == b"good"

    run(studio, test)


def test_draining_finishes_queued_tiles_and_accepts_no_new_ones() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "a", "b")
        await begun(studio)
        draining: Awaitable[bool] = asyncio.create_task(queue.drain(10))
        await asyncio.sleep(0.05)
        with pytest.raises(StoppingError):
            await queue.get(item("c"))
        studio.open.set()
        assert await draining
        assert [task.done() for task in tasks] == [True, True]

    run(studio, test)


def test_draining_ends_in_time_even_if_the_engine_does_not() -> None:
    studio = Studio()

    async def test(queue: TileQueue[Item]) -> None:
        tasks = await ask(queue, "a")
        await begun(studio)
        assert not await queue.drain(0.1)
        studio.open.set()
        await asyncio.gather(*tasks)

    run(studio, test)

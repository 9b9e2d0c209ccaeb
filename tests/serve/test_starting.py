"""A server that answers while its model is opened."""

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from infgen.errors import InputError
from infgen.serve.starting import Starting
from tests.patience import until


class Lifespan:
    """Runs an ASGI application with its lifespan, and asks it."""

    def __init__(self, app: Starting) -> None:
        self.app = app
        self._messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    async def begin(self) -> None:
        self._task = asyncio.create_task(
            self.app({"type": "lifespan"}, self._messages.get, self._answers.put)  # type: ignore[arg-type]
        )
        await self._messages.put({"type": "lifespan.startup"})
        assert (await self._answers.get())["type"] == "lifespan.startup.complete"

    async def end(self) -> None:
        await self._messages.put({"type": "lifespan.shutdown"})
        assert (await self._answers.get())["type"] == "lifespan.shutdown.complete"
        await self._task

    async def ask(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)


def test_only_liveness_is_reported_until_the_application_is_there() -> None:
    opened, events = threading.Event(), []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        events.append("begin")
        yield
        events.append("end")

    def make() -> FastAPI:
        opened.wait(60)
        app = FastAPI(lifespan=lifespan)
        app.add_api_route("/health/ready", lambda: "ready")
        return app

    async def visit() -> list[int]:
        ready = asyncio.Event()
        server = Lifespan(Starting(make, ready=ready.set, ended=lambda: None))
        await server.begin()
        answers = [await server.ask(path) for path in ("/health/live", "/canvas/health/live", "/health/ready", "/")]
        assert answers[2].headers["Retry-After"] == "2"
        assert answers[3].headers["X-Content-Type-Options"] == "nosniff"
        opened.set()
        await asyncio.wait_for(ready.wait(), 60)
        answers.append(await server.ask("/health/ready"))
        await server.end()
        return [answer.status_code for answer in answers]

    assert asyncio.run(visit()) == [200, 200, 503, 503, 200]
    assert events == ["begin", "end"]


def test_an_application_that_cannot_be_made_ends_the_server_with_its_error() -> None:
    def make() -> FastAPI:
        raise InputError("no model")

    async def visit() -> BaseException | None:
        ended = asyncio.Event()
        server = Lifespan(Starting(make, ready=lambda: pytest.fail("ready"), ended=ended.set))
        await server.begin()
        await asyncio.wait_for(ended.wait(), 60)
        await server.end()
        return server.app.error

    assert str(asyncio.run(visit())) == "no model"


def test_a_server_that_is_stopped_while_it_starts_does_not_wait() -> None:
    opened, threads = threading.Event(), threading.active_count()

    def make() -> FastAPI:
        opened.wait(60)
        return FastAPI()

    async def visit() -> None:
        server = Lifespan(Starting(make, ready=lambda: pytest.fail("ready"), ended=lambda: None))
        await server.begin()
        await asyncio.wait_for(server.end(), 30)

    asyncio.run(visit())
    opened.set()
    until(lambda: threading.active_count() == threads)

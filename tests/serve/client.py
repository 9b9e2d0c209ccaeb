"""A server without a network: the application on an event loop of its own, asked through httpx."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI

from infgen.serve.canvas import CanvasServer
from infgen.serve.jobs import ENDED
from tests.patience import until

API = "/api/v1"
T = TypeVar("T")


class Client:
    """Requests to ``app``, which works until the client is closed."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._lifespan = app.router.lifespan_context(app)
        self.wait(self._lifespan.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60)

    @property
    def canvas(self) -> CanvasServer:
        """What is behind the routes."""
        canvas: CanvasServer = self.app.state.canvas
        return canvas

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, done on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request to ``path`` below the API, or from the root where it begins with two slashes."""
        return self.wait(self.http.request(method, address(path), **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.ask("POST", path, **options)

    def together(self, paths: list[str]) -> list[httpx.Response]:
        """GET all at once."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self.http.get(address(path)) for path in paths))

        return self.wait(all_of_them())

    def new_world(self, **world: Any) -> dict[str, Any]:
        """The record of a new world."""
        answer = self.post("/worlds", json={"world": world})
        assert answer.status_code == 201, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def tile(self, record: dict[str, Any], z: int, x: int, y: int, suffix: str = "png") -> httpx.Response:
        """A tile of a world."""
        return self.get(tile_path(record, z, x, y, suffix))

    def close(self) -> None:
        """Drain and stop."""
        self.wait(self.http.aclose())
        self.wait(self._lifespan.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def address(path: str) -> str:
    """Below the API, or from the root where ``path`` begins with two slashes."""
    return path[1:] if path.startswith("//") else API + path


def tile_path(record: dict[str, Any], z: int, x: int, y: int, suffix: str = "png") -> str:
    """The path of a tile, below the API."""
    return f"/worlds/{record['id']}/{record['revision']}/tiles/{z}/{x}/{y}.{suffix}"


def if_match(record: dict[str, Any]) -> dict[str, str]:
    """The header of a change to a world."""
    return {"If-Match": f'"{record["revision"]}"'}


def ended(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job once nothing more will happen to it."""

    def found() -> dict[str, Any] | None:
        record: dict[str, Any] = client.get(f"/jobs/{job['id']}").json()
        return record if record["state"] in ENDED else None

    return until(found)


@contextmanager
def client_of(app: FastAPI) -> Iterator[Client]:
    """A client that is closed at the end."""
    client = Client(app)
    try:
        yield client
    finally:
        client.close()

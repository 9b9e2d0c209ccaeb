"""A server without a network: the application runs on its own event loop, with an httpx client."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI

from infgen.serve.canvas import CanvasServer
from infgen.serve.jobs.board import ENDED
from tests.patience import until

API = "/api/v1"
T = TypeVar("T")


class Client:
    """Sends requests to ``app`` and runs its lifespan until ``close``."""

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
        """The server object behind the routes."""
        canvas: CanvasServer = self.app.state.canvas
        return canvas

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request to ``path`` below the API, or below the root if it begins with two slashes."""
        return self.wait(self.http.request(method, address(path), **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request."""
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a POST request."""
        return self.ask("POST", path, **options)

    def together(self, paths: list[str]) -> list[httpx.Response]:
        """Send GET requests concurrently."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self.http.get(address(path)) for path in paths))

        return self.wait(all_of_them())

    def new_world(self, **world: Any) -> dict[str, Any]:
        """Create a world and return its record."""
        answer = self.post("/worlds", json={"world": world})
        assert answer.status_code == 201, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def tile(self, record: dict[str, Any], z: int, x: int, y: int, suffix: str = "png") -> httpx.Response:
        """Request a tile of a world."""
        return self.get(tile_path(record, z, x, y, suffix))

    def close(self) -> None:
        """Drain and stop the application."""
        self.wait(self.http.aclose())
        self.wait(self._lifespan.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def address(path: str) -> str:
    """Return the full path: below the API, or below the root if ``path`` begins with two slashes."""
    return path[1:] if path.startswith("//") else API + path


def tile_path(record: dict[str, Any], z: int, x: int, y: int, suffix: str = "png") -> str:
    """Return the path of a tile below the API."""
    return f"/worlds/{record['id']}/{record['revision']}/tiles/{z}/{x}/{y}.{suffix}"


def if_match(record: dict[str, Any]) -> dict[str, str]:
    """Return the If-Match header for a change to a world."""
    return {"If-Match": f'"{record["revision"]}"'}


def wait_for_job(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for a job to end and return it."""

    def found() -> dict[str, Any] | None:
        record: dict[str, Any] = client.get(f"/jobs/{job['id']}").json()
        return record if record["state"] in ENDED else None

    return until(found)


@contextmanager
def client_of(app: FastAPI) -> Iterator[Client]:
    """Open a client and close it at the end."""
    client = Client(app)
    try:
        yield client
    finally:
        client.close()

"""Answer from the first moment, while the model is opened on a thread."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infgen.serve.errors import one_line
from infgen.serve.headers import add_security_headers

RETRY_SECONDS = 2


class Starting:
    """ASGI application that passes requests to ``make()`` once that has returned and its lifespan has begun.

    Until then ``/health/live`` succeeds and everything else is 503. ``ended`` is called when ``make`` fails: ``error``.
    ``ready`` is called once requests are passed on.
    """

    def __init__(self, make: Callable[[], FastAPI], *, ready: Callable[[], None], ended: Callable[[], None]) -> None:
        self._make, self._ready, self._ended = make, ready, ended
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.app: FastAPI | None = None
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the lifespan, pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            with suppress(asyncio.CancelledError):  # a second signal ends the loop without a shutdown
                await self._live(receive, send)
            return
        app: ASGIApp = _answer if self.app is None else self.app
        await app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._running = asyncio.create_task(self._run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stop.set()
        if self.app is None:
            self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self) -> None:
        """Open the application, and keep its lifespan until the end of the server. One task enters and leaves it."""
        try:
            app = await _on_thread(self._make)
            async with app.router.lifespan_context(app):
                self.app = app
                self._ready()
                await self._stop.wait()
        except Exception as error:
            self.error = error
            self._ended()


async def _on_thread(make: Callable[[], FastAPI]) -> FastAPI:
    """Return ``make()``. The thread does not keep the process alive, if the server is stopped meanwhile."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[FastAPI] = loop.create_future()

    def settle(app: FastAPI | None, error: BaseException | None) -> None:
        if result.done():
            return
        if app is None:
            result.set_exception(error or RuntimeError("no application"))
        else:
            result.set_result(app)

    def work() -> None:
        app, failure = None, None
        try:
            app = make()
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, app, failure)

    threading.Thread(target=work, name="opening", daemon=True).start()
    return await result


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request before the application is there."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            add_security_headers(message)
        await send(message)

    answer: Response = PlainTextResponse("live")
    if not scope["path"].endswith("/health/live"):
        line = f"the server is starting; try again in {RETRY_SECONDS} s"
        answer = one_line(HTTPStatus.SERVICE_UNAVAILABLE, line, {"Retry-After": str(RETRY_SECONDS)})
    await answer(scope, receive, send_with_headers)

"""A server process: from an address to listen on to a clean end on SIGTERM or Ctrl-C."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from fastapi import FastAPI

from infgen.errors import InputError
from infgen.serve.canvas import Canvas

LINGER_SECONDS = 2  # for connections that are still open when all work is done
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn that keeps listening while work in line is finished, so that readiness can be asked."""

    def __init__(self, config: uvicorn.Config, canvas: Canvas, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._canvas, self._told = canvas, started
        self._drain: asyncio.Task[None] | None = None

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Ours are set in ``startup``."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        self._told()

    def _stop(self) -> None:
        """The first signal drains, a second one ends at once."""
        if self._drain is None:
            self._drain = asyncio.ensure_future(self._drained())
        else:
            self.should_exit = self.force_exit = True

    async def _drained(self) -> None:
        try:
            await self._canvas.drain()
        finally:
            self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{host} port {port} cannot be listened on ({reason}); give another --host or --port"
        ) from None
    # Connections inherit it. Without, head and body of an answer are 40 ms apart: asyncio sets it only on sockets that
    # were made with the number of the protocol, and these are not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: FastAPI, listener: socket.socket, *, started: Callable[[], None] = lambda: None) -> None:
    """Answer requests on ``listener`` until SIGTERM or Ctrl-C; then finish the tiles in line, cancel jobs, and return.

    ``started`` is called when requests are answered. For the main thread.
    """
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LINGER_SECONDS,
    )
    _Server(config, app.state.canvas, started).run(sockets=[listener])

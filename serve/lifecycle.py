"""Run the server process: listen on an address, and shut down cleanly on SIGTERM, SIGHUP or Ctrl-C."""

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image

from infgen.errors import InputError
from infgen.serve.canvas import CanvasServer
from infgen.serve.connections import BACKLOG, limited_protocol, on_loop_error
from infgen.serve.starting import Starting
from infgen.signals import stop_signals

LINGER_SECONDS = 2  # grace period for open connections after all work is done


class _Server(uvicorn.Server):
    """uvicorn server that keeps listening while it drains, so that readiness probes get an answer."""

    def __init__(
        self, make: Callable[[], FastAPI], *, listening: Callable[[], None], ready: Callable[[], None]
    ) -> None:
        self.starting = Starting(make, ready=ready, ended=self._leave)
        self._on_listening = listening
        self._drain: asyncio.Task[None] | None = None
        super().__init__(_config(self.starting))

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing: ``startup`` installs the signal handlers."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, install signal handlers, and call ``listening``."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_error)
        for number in stop_signals():
            loop.add_signal_handler(number, self._stop)
        self._on_listening()

    def _stop(self) -> None:
        """Drain on the first signal; exit immediately on the second, or if the model is still being opened."""
        app = self.starting.app
        if app is None:
            self._leave()
        elif self._drain is None:
            self._drain = asyncio.ensure_future(self._drain_and_exit(app.state.canvas))
        else:
            self.should_exit = self.force_exit = True

    async def _drain_and_exit(self, canvas: CanvasServer) -> None:
        try:
            await canvas.drain()
        finally:
            self._leave()

    def _leave(self) -> None:
        self.should_exit = True


def _config(app: Starting) -> uvicorn.Config:
    """Configure uvicorn. Parser and event loop are fixed: others, if installed, have other limits."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=limited_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # infgen.serve.proxy reads them, from trusted proxies only
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=LINGER_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises InputError if the address is unavailable.

    >>> from infgen.serve import listen
    >>> with listen("127.0.0.1", 0) as listener:  # port 0: the system chooses a free one
    ...     listener.getsockname()[0]
    '127.0.0.1'
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot listen on {host} port {port} ({reason}); give another --host or --port") from None
    # Connections inherit TCP_NODELAY. Without it, the body arrives 40 ms after the header: asyncio sets the option only
    # on sockets created with an explicit protocol number, and create_server gives none.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _nothing() -> None:
    """Do nothing."""


def serve(
    make: Callable[[], FastAPI],
    listener: socket.socket,
    *,
    listening: Callable[[], None] = _nothing,
    ready: Callable[[], None] = _nothing,
) -> None:
    """Serve ``make()`` on ``listener`` until SIGTERM, SIGHUP or Ctrl-C. Then finish queued tiles, cancel jobs, and return.

    ``make`` runs on a thread; meanwhile ``/health/live`` succeeds and everything else is 503. Calls ``listening`` once the
    server answers, and ``ready`` once it accepts work. Must run in the main thread. Raises every error of ``make``.

    >>> import signal
    >>> from functools import partial
    >>> from infgen.serve import create_app, listen, serve
    >>> make = partial(create_app, "canvas-served")
    >>> serve(make, listen("127.0.0.1", 0), ready=lambda: signal.raise_signal(signal.SIGTERM))
    """

    def make_warm() -> FastAPI:
        app = make()
        import_lazy_modules()
        gc.freeze()  # a full collection otherwise visits all modules, and no request is answered meanwhile
        return app

    server = _Server(make_warm, listening=listening, ready=ready)
    server.run(sockets=[listener])
    gc.unfreeze()
    if server.starting.error is not None:
        raise server.starting.error


def import_lazy_modules() -> None:
    """Import what PyTorch and Pillow import at their first use. Later, no request would be answered meanwhile."""
    Image.init()
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()

"""Run the server process: listen on an address, and shut down cleanly on SIGTERM or Ctrl-C."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image

from infgen.errors import InputError
from infgen.serve.canvas import CanvasServer

LINGER_SECONDS = 2  # grace period for open connections after all work is done
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn server that keeps listening while it drains, so that readiness probes get an answer."""

    def __init__(self, config: uvicorn.Config, canvas: CanvasServer, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._canvas, self._on_started = canvas, started
        self._drain: asyncio.Task[None] | None = None

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing: ``startup`` installs the signal handlers."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, install signal handlers, and call ``started``."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        import_lazy_modules()
        gc.freeze()  # a full collection otherwise visits all modules, and no request is answered meanwhile
        self._on_started()

    def _stop(self) -> None:
        """Drain on the first signal; exit immediately on the second."""
        if self._drain is None:
            self._drain = asyncio.ensure_future(self._drain_and_exit())
        else:
            self.should_exit = self.force_exit = True

    async def _drain_and_exit(self) -> None:
        try:
            await self._canvas.drain()
        finally:
            self.should_exit = True


def import_lazy_modules() -> None:
    """Import what PyTorch and Pillow import at their first use. Later, no request would be answered meanwhile."""
    Image.init()
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()


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


def serve(app: FastAPI, listener: socket.socket, *, started: Callable[[], None] = lambda: None) -> None:
    """Serve on ``listener`` until SIGTERM or Ctrl-C. Then finish queued tiles, cancel jobs, and return.

    Calls ``started`` once the server accepts requests. Must run in the main thread.

    >>> import signal
    >>> from infgen.serve import create_app, listen, serve
    >>> app = create_app("canvas-served")
    >>> serve(app, listen("127.0.0.1", 0), started=lambda: signal.raise_signal(signal.SIGTERM))
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

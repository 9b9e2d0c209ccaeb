"""Limit connections: their number, the time until a request has arrived, and the time that a client may not read."""

import asyncio
import json
import logging
from contextlib import suppress
from time import monotonic
from typing import Any

import h11
import psutil
from uvicorn.protocols.http.h11_impl import H11Protocol

from infgen.limits import HEADER_SECONDS, MAX_CONNECTIONS, REQUEST_SECONDS
from infgen.serve.headers import SECURITY_HEADERS
from infgen.serve.logs import Throttle

logger = logging.getLogger(__name__)

SPARE_DESCRIPTORS = 64  # for files and jobs
LEAST_CONNECTIONS = 16
BACKLOG = 128  # asyncio accepts as many at once, and fails as often if there are no descriptors
_refusals = Throttle(logger)


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 with h11. A connection without a request is closed after INFGEN_HEADER_SECONDS, or earlier to make room.

    A client that reads nothing of a response for INFGEN_REQUEST_SECONDS is disconnected. uvicorn closes idle connections
    after a response. ``limit``: most connections at once.
    """

    limit = 1000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first request, and make room."""
        super().connection_made(transport)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since = monotonic()
        self._start_header_timer()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse, and stop the timer once a request has arrived. More parts of its header do not extend the time."""
        if not self._busy and self._header_timer is None:
            self._start_header_timer()
        super().data_received(data)
        if self._busy:
            _cancel(self._header_timer)
            self._header_timer = None

    def on_response_complete(self) -> None:
        """Let uvicorn start its timer of idle connections."""
        self._idle_since = monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._header_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the timer of a client that does not read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(REQUEST_SECONDS.value(), self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._write_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP like every other error."""
        body = json.dumps({"error": msg}).encode()
        headers = {**SECURITY_HEADERS, "Content-Type": "application/json", "Connection": "close"}
        parts = (h11.Response(status_code=400, headers=list(headers.items())), h11.Data(data=body), h11.EndOfMessage())
        with suppress(h11.LocalProtocolError):  # a response has begun
            for part in parts:
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_SECONDS.value(), self.transport.close)

    def _make_room(self) -> None:
        """Over the limit, close the connection that has had no request for the longest time, or else this one."""
        others = [c for c in self.connections if isinstance(c, LimitedProtocol) and not c.transport.is_closing()]
        if len(others) <= self.limit:
            return
        idle = [c for c in others if not c._busy and c is not self]
        if idle:
            min(idle, key=lambda c: c._idle_since).transport.abort()
            return
        _refusals.warning("refusing connections: %d are busy; raise %s", self.limit, MAX_CONNECTIONS.name)
        self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\r\n")
        self.transport.close()


def limited_protocol() -> type[LimitedProtocol]:
    """Return the protocol with the limit of this process: INFGEN_MAX_CONNECTIONS, or what its descriptors allow."""
    free = _max_descriptors() - psutil.Process().num_fds() - SPARE_DESCRIPTORS
    limit = min(MAX_CONNECTIONS.value(), max(LEAST_CONNECTIONS, free))
    return type("Protocol", (LimitedProtocol,), {"limit": limit})


def on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a refused ``accept`` at most once a minute, and pass on every other error."""
    error = context.get("exception")
    if isinstance(error, OSError) and "accept" in context.get("message", ""):
        _refusals.warning("cannot accept connections: %s", error.strerror)
    else:
        loop.default_exception_handler(context)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer that may not run."""
    if timer is not None:
        timer.cancel()


def _max_descriptors() -> int:
    process = psutil.Process()
    return int(process.rlimit(psutil.RLIMIT_NOFILE)[0]) if hasattr(process, "rlimit") else 2**16

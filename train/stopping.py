"""Stop a run on SIGINT, SIGTERM or SIGHUP, after the current step and its checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from infgen.signals import leave_terminal, stop_signals


class StopRequest:
    """Number of the signal that has requested the end of the run, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return self.signal is not None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request. The second one raises KeyboardInterrupt at once.

    Outside the main thread no handler can be set, and the request is never made.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        leave_terminal(number)
        if request.requested:
            raise KeyboardInterrupt
        request.signal = number

    before = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Signals that ask a command to end: Ctrl-C, SIGTERM (systemd, containers, kill) and SIGHUP (a closed terminal)."""

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last one


def stop_signals() -> tuple[signal.Signals, ...]:
    """List the signals that end a command; without those that are ignored, such as SIGHUP under nohup."""
    known = (signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__)
    return tuple(number for number in known if signal.getsignal(number) is not signal.SIG_IGN)


class Interrupt:
    """Number of the last signal that ended the work; SIGINT if none has arrived."""

    def __init__(self) -> None:
        self.signal = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """Exit code of a command that the signal ended, as shells report it."""
        return 128 + self.signal


def leave_terminal(number: int) -> None:
    """After SIGHUP (``number``), send output to the terminal nowhere: its writes fail, and would end the work unsaved."""
    if signal.Signals(number).name != "SIGHUP":
        return
    with suppress(OSError), open(os.devnull, "r+b") as nowhere:
        for descriptor in range(3):
            with suppress(OSError):
                if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                    os.dup2(nowhere.fileno(), descriptor)


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Raise KeyboardInterrupt for SIGTERM and SIGHUP, too, so that they end the work as Ctrl-C does.

    Outside the main thread no handler can be set.
    """
    found = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        found.signal = signal.Signals(number)
        leave_terminal(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in stop_signals()}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

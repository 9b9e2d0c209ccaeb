"""Work in a thread of its own: storing tiles in groups, and encoding, beside the thread that computes.

Threads are daemons: a process that ends without closing a sink is not held up by an encoder that waits for tiles.
"""

import threading
from collections.abc import Callable

from infgen.pixels import Pixels
from infgen.sinks.formats import QUEUE_BYTES

Group = list[tuple[int, Pixels]]


class Task:
    """One call of ``function`` in a thread, begun at once."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._function = function
        self._done = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # raised again by check(), in the thread that waits
            self.error = error
        self._done.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait at most so long; whether the call has ended."""
        return self._done.wait(seconds)

    def check(self) -> None:
        """Raise the error with which the call ended, if it did."""
        if self.error is not None:
            raise self.error


class Writer:
    """Hands tiles to ``store`` in a thread, all that wait at a time: one flush of the disk then serves several."""

    def __init__(self, store: Callable[[Group], None]) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._waiting: Group = []
        self._bytes = 0  # waiting or being stored
        self._closing = False
        self._task = Task("infgen-writer", self._run)

    def put(self, number: int, tile: Pixels) -> None:
        """Take ``tile``, which may be changed afterwards; waits while the queue is full. Raises an earlier error of ``store``."""
        copy = tile.copy(order="C")
        with self._changed:
            self._changed.wait_for(
                lambda: self._task.wait(0) or self._bytes == 0 or self._bytes + copy.nbytes <= QUEUE_BYTES
            )
            self.check()
            self._waiting.append((number, copy))
            self._bytes += copy.nbytes
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error with which ``store`` ended the thread, if it did."""
        self._task.check()

    def close(self) -> None:
        """Store what was taken and end the thread. Raises its error. May be called more than once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._task.wait()
        self.check()

    def _run(self) -> None:
        try:
            while group := self._next():
                self._store(group)
                with self._changed:
                    self._bytes -= sum(tile.nbytes for _, tile in group)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._task.error = error  # before a thread that waits for room looks
                self._bytes = 0
                self._changed.notify_all()
            raise

    def _next(self) -> Group:
        """Every tile that waits; none when the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            group, self._waiting = self._waiting, []
            return group

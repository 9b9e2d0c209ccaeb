"""Store tiles in groups and encode them in separate threads, while another thread computes.

Threads are daemons, so an encoder without input cannot block a process that ends without closing a sink.
"""

import threading
from collections.abc import Callable

from infgen.pixels import Pixels
from infgen.sinks.formats import QUEUE_BYTES

Group = list[tuple[int, Pixels]]


class Task:
    """One call of ``function`` in a new thread, started immediately."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._function = function
        self._done = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # check() raises it again in the caller's thread
            self.error = error
        self._done.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait at most ``seconds`` (None: without limit). Returns whether the call has ended."""
        return self._done.wait(seconds)

    def check(self) -> None:
        """Raise the error of the call, if it failed."""
        if self.error is not None:
            raise self.error


class Writer:
    """Passes all queued tiles at once to ``store`` in a thread, so that they share one flush of the disk."""

    def __init__(self, store: Callable[[Group], None]) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._queue: Group = []
        self._bytes = 0  # queued or being stored
        self._closing = False
        self._task = Task("infgen-writer", self._run)

    def put(self, number: int, tile: Pixels) -> None:
        """Copy ``tile`` into the queue, and block while the queue is full. Raises an earlier error of ``store``."""
        copy = tile.copy(order="C")
        with self._changed:
            self._changed.wait_for(
                lambda: self._task.wait(0) or self._bytes == 0 or self._bytes + copy.nbytes <= QUEUE_BYTES
            )
            self.check()
            self._queue.append((number, copy))
            self._bytes += copy.nbytes
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error of ``store``, if it failed."""
        self._task.check()

    def close(self) -> None:
        """Store all queued tiles and end the thread. Raises its error. May be called more than once."""
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
                self._task.error = error  # set before a blocked put() checks it
                self._bytes = 0
                self._changed.notify_all()
            raise

    def _next(self) -> Group:
        """Take all queued tiles; none if the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            group, self._queue = self._queue, []
            return group

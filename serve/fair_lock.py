"""Share one engine between threads with a first-in, first-out lock."""

import threading
from collections import deque
from types import TracebackType


class FairLock:
    """First-in, first-out lock. A long job releases it between steps so that tiles are not delayed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def __enter__(self) -> None:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            self._changed.wait_for(lambda: self._queue[0] is ticket)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()

    def hand_over(self) -> None:
        """Release the lock and acquire it again behind the waiting threads. The caller must hold it."""
        self.__exit__(None, None, None)
        self.__enter__()

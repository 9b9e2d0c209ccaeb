"""One engine, several who want it: they take turns, in the order in which they asked."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock that is fair: whoever asked first gets it next, so that a long job lets tiles through between its steps."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    def __enter__(self) -> None:
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            self._changed.wait_for(lambda: self._line[0] is ticket)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._line.popleft()
            self._changed.notify_all()

    def hand_over(self) -> None:
        """End the turn and stand in line again. For whoever has the turn."""
        self.__exit__(None, None, None)
        self.__enter__()

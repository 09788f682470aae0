"""Ctrl-C and SIGTERM as a stop request that the loop serves between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TrainingInterrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or SIGTERM after it had left a checkpoint; the same call goes on from it."""


class Interruption:
    """Within `with`, a first signal sets `requested`, a second raises KeyboardInterrupt at once.

    In a thread that is not the main one, Python delivers no signals, and nothing changes.

    Example:
        >>> with Interruption() as stop:
        ...     signal.raise_signal(signal.SIGINT)
        ...     stop.requested
        True
    """

    def __init__(self) -> None:
        self.requested = False
        self._at_once = False
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]: what signal.signal returned
        self._earlier = {}

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested or self._at_once:
            raise KeyboardInterrupt
        self.requested = True

    @contextmanager
    def at_once(self, wanted: bool = True) -> Iterator[None]:
        """Within it, already the first signal raises KeyboardInterrupt: for long work that changes nothing.

        Args:
            wanted: False changes nothing: with several processes, one that leaves the others makes them wait in vain.

        Raises:
            KeyboardInterrupt: If a signal has come before.
        """
        if self.requested and wanted:
            raise KeyboardInterrupt
        self._at_once = wanted
        try:
            yield
        finally:
            self._at_once = False

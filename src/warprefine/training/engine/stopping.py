"""Defer Ctrl-C and SIGTERM to the end of a training's step, where its state is whole and can be saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | signal.Handlers
SAME_STOP = 1.0
"""Seconds in which further signals are the same stop: torchrun passes on a Ctrl-C that processes get too."""
_USUAL: dict[int, _Handler] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class StopRequest:
    """The signal that has asked to stop, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._time = 0.0

    def receive(self, number: int) -> bool:
        """Note a signal; return whether it is to be deferred: a second one, later, is not."""
        if self.signal is None:
            self.signal, self._time = number, time.monotonic()
        return time.monotonic() - self._time <= SAME_STOP


@contextmanager
def deferred_stop() -> Iterator[StopRequest]:
    """Defer SIGINT and SIGTERM within a block; who runs it looks at the request, and stops where it can.

    A second signal acts at once, and so does one that nobody has looked at when the block ends. Signals that
    are ignored or that the caller's program handles are left to it, and all are outside of the main thread.
    """
    request = StopRequest()
    deferred = [number for number, usual in _USUAL.items() if signal.getsignal(number) == usual]
    if threading.current_thread() is not threading.main_thread():
        deferred = []

    def restore() -> None:
        for number in deferred:
            signal.signal(number, _USUAL[number])

    def handle(number: int, frame: FrameType | None) -> None:
        if not request.receive(number):
            restore()
            signal.raise_signal(number)

    for number in deferred:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
    if request.signal is not None:
        signal.raise_signal(request.signal)

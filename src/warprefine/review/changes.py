"""Which frames changed since when, for pages that ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence


class Changes:
    """Frames that changed, in order; each is kept once, so that they never take more than all frames.

    Attributes:
        first: The number that changes are counted from; smaller ones are those of an earlier server.
        serial: The number of the last change.

    Example:
        >>> changes = Changes()
        >>> changes.add(0, [5, 7])
        >>> changes.add(1, [2])
        >>> changes.since(changes.serial - 2)
        {1: [2], 0: [7]}
    """

    def __init__(self) -> None:
        # Numbers of a later server are larger, so that an old page's number is not taken for a new one.
        self.serial = self.first = time.time_ns() // 1_000_000
        self._frames: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def add(self, position: int, frames: Sequence[int]) -> None:
        """Note that frames of the video at a position changed."""
        with self._lock:
            for frame in frames:
                self.serial += 1
                self._frames.pop((position, frame), None)
                self._frames[position, frame] = self.serial

    def since(self, serial: int) -> dict[int, list[int]]:
        """Return the frames that changed after a number, by the position of their video."""
        found: dict[int, list[int]] = {}
        with self._lock:
            for (position, frame), number in reversed(self._frames.items()):
                if number <= serial:
                    break
                found.setdefault(position, []).append(frame)
        return found

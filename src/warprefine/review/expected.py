"""The expected share of wrong pixels of each frame: as the run has recorded it, or from confidence."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from warprefine.core.errors import FrameError
from warprefine.core.video import Video
from warprefine.io.images import read_gray
from warprefine.io.run import RunFolder

_TOGETHER = 200
"""Frames that are told of at once; reading them takes a fraction of a second."""


class ExpectedErrors:
    """Expected errors by frame: the mean of 1 - confidence, which the manifest has since labels were written.

    Where an earlier version wrote them, confidence is read in the background and kept in memory.

    Args:
        run: The run folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._known: dict[tuple[str, str, int], tuple[int, float]] = {}
        self._busy = threading.Lock()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def of_frame(self, video: Video, frame: int, method: str) -> float | None:
        """Return the expected share of wrong pixels of a frame, 0 to 1; None where it has no confidence."""
        recorded = self._run.expectations.errors(video.name, method).get(frame)
        if recorded is not None:
            return recorded
        path = self._run.confidence_path(method, video.name, video.stems[frame])
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return None
        key = (video.name, method, frame)
        known = self._known.get(key)
        if known is None or known[0] != written:
            try:
                known = written, float(1 - read_gray(path).mean())
            except FrameError:
                return None
            self._known[key] = known
        return known[1]

    def of_video(self, video: Video, method: str) -> Float32[np.ndarray, " n"]:
        """Return what is known of all frames of a video, without reading any picture; NaN is unknown."""
        errors = np.full(len(video), np.nan, np.float32)
        recorded = self._run.expectations.errors(video.name, method)
        for frame in range(len(video)):
            if known := self._known.get((video.name, method, frame)):
                errors[frame] = known[1]
            errors[frame] = recorded.get(frame, errors[frame])
        return errors

    def read_on(
        self, video: Video, method: str, *, frames: list[int], told: Callable[[list[int]], None]
    ) -> None:
        """Read what is not known in the background, and call `told` with the frames that are known then."""
        known = {*self._run.expectations.errors(video.name, method)}
        due = [k for k in frames if k not in known and (video.name, method, k) not in self._known]

        def read() -> None:
            with self._busy:  # one thread at a time: a person turns the pages meanwhile
                for first in range(0, len(due), _TOGETHER):
                    some = due[first : first + _TOGETHER]
                    for frame in some:
                        if self._closed.is_set():
                            return
                        self.of_frame(video, frame, method)
                    told(some)

        if due:
            thread = threading.Thread(target=read, daemon=True, name="expected errors")
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def close(self) -> None:
        """Stop reading; threads that read pictures while Python ends would crash it."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

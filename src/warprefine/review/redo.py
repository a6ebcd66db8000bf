"""Label gaps again in a process of its own, and pass on what it says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class RedoProcess:
    """The process that labels the gaps beside corrections again; see `review.worker`.

    Args:
        root: The run folder.
        cache: The folder that the run's cache lies in; None is the one in the run.
        mended: Called with the name of a video and the number of a frame that has new labels.

    Attributes:
        progress: The video, frame, done and of of the correction in hand; None while nothing is labelled.
        problem: Why nothing can be labelled; "" if nothing is wrong.
    """

    def __init__(self, root: Path, *, cache: Path | None, mended: Callable[[str, int], None]) -> None:
        self._root, self._cache, self._mended = root, cache, mended
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.progress: dict[str, Any] | None = None
        self.problem = ""

    def wake(self) -> None:
        """Label what is due; the process is started if there is none."""
        with self._lock:
            if self._process is not None and self._process.poll() is None and self._process.stdin is not None:
                with suppress(OSError):  # it has just ended, and is started below
                    self._process.stdin.write(b"\n")
                    self._process.stdin.flush()
                    return
            words = [sys.executable, "-m", "warprefine.review.worker", str(self._root)]
            self._process = subprocess.Popen(
                [*words, *([] if self._cache is None else [str(self._cache)])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C ends the server, which ends this process
            )
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            process, self._process = self._process, None
            if process is None or process.stdin is None:
                return
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.startswith(b"{"):  # a library may print, too
                    self._take(json.loads(line))
        self.progress = None
        if (code := process.wait()) and process is self._process:  # nobody has closed it: memory may be short
            self._take(
                {"error": f"labelling again has ended with {code}; the next correction begins it anew"}
            )

    def _take(self, message: dict[str, Any]) -> None:
        if "error" in message:
            if message["error"] != self.problem:
                log.warning("labels beside corrections: %s", message["error"])
            self.problem, self.progress = message["error"], None
        elif "idle" in message:
            self.problem, self.progress = "", None
        else:
            self.problem = ""
            self.progress = {
                "video": message["video"],
                "frame": message["corrected"],
                "done": message["done"],
                "of": message["of"],
            }
            self._mended(message["video"], message["frame"])

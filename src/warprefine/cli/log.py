"""The log of a run: what was done, when, and how long it took."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from platform import python_version

import torch

from warprefine import __version__
from warprefine.core.errors import WarpRefineError
from warprefine.core.names import printable
from warprefine.io.atomic import make_folder, writing_errors

log = logging.getLogger(__name__)


class TaskLog:
    """Logs when a task of a command begins and ends; a `Progress`."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Log the first report of a task, and the last one with the time between them."""
        now = time.monotonic()
        if task not in self._begun and done < total:
            log.info("%s: begun, %d of %d", task, done, total)
        begun = self._begun.setdefault(task, now)
        if done == total:
            log.info("%s: done, %d of %d in %.1f s%s", task, done, total, now - begun, note and f" {note}")
            del self._begun[task]


@contextmanager
def log_to(run: Path) -> Iterator[None]:
    """Append log messages to the log of a run, inside the context: the command, its tasks, how it ended."""
    path = make_folder(run) / "log.txt"
    with writing_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.raiseExceptions = False  # a full disk is reported by the job, not by its log
    logger = logging.getLogger("warprefine")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with _command():
            yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # the error that ended the command counts
            handler.close()


@contextmanager
def _command() -> Iterator[None]:
    """Log the command and how it ends."""
    begun = time.monotonic()
    log.info("%s", shlex.join(["warprefine", *sys.argv[1:]]))
    log.info(
        "warprefine %s, Python %s, torch %s with %d threads",
        *(__version__, python_version(), torch.__version__, torch.get_num_threads()),
    )
    try:
        yield
    except KeyboardInterrupt:
        log.warning("stopped by hand after %.1f s", time.monotonic() - begun)
        raise
    except WarpRefineError as error:
        log.error("%s", error)
        raise
    except BaseException:
        log.exception("ended by an error after %.1f s", time.monotonic() - begun)
        raise
    log.info("finished after %.1f s", time.monotonic() - begun)


class _OneLine(logging.Formatter):
    """A line for each message, whatever names it holds; control characters are shown, not written."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record)).replace("\n", "\\n")

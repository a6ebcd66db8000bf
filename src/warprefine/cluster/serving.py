"""What a process of `ProcessEngine` does: work through pieces of work, and end when its pipe is closed."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import torch

from warprefine.core.errors import WarpRefineError
from warprefine.core.memory import return_freed_memory
from warprefine.core.threads import use_threads
from warprefine.io.sharing import SharedMirrors, use_mirrors

LOGGER = "warprefine"
GRACE = 2.0
"""Seconds that a process without work has to end in order."""
REST = b"rest"
"""Ends a piece of work, in the pipe; another one may follow. No pickled item is equal to it."""
_END = b""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of work for a process: it comes before its items.

    Attributes:
        work: Yields the results of an item; pickled.
        threads: How many threads to compute with.
        level: The level of log messages that are wanted.
        mirrors: Where files of storages are.
    """

    work: bytes
    threads: int
    level: int
    mirrors: SharedMirrors


def serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """Work on what arrives in a pipe, in a process that ends when the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":  # locks of libraries then have no names, which a killed process leaves behind
        multiprocessing.set_start_method("fork", force=True)
    os.environ.update(environment)
    send = _Sender(pipe)
    logging.getLogger(LOGGER).addHandler(_ToPipe(send))
    arriving: SimpleQueue[bytes] = SimpleQueue()
    send("ready")
    threading.Thread(target=_receive, args=(pipe, arriving), daemon=True).start()
    content = arriving.get()
    while content != _END:
        content = _work_through(content, arriving, send)
        if content == REST:
            _free_memory()
            content = arriving.get()


def _work_through(piece: bytes, arriving: SimpleQueue[bytes], send: _Sender) -> bytes:
    """Work on the items of a piece of work; return what has ended it."""
    work = _loaded(piece, send)
    send("started")
    try:
        while (content := arriving.get()) not in (_END, REST):
            for result in work(pickle.loads(content)):  # noqa: S301 - of the process that has started this one
                send("result", result)
            send("done")
    except WarpRefineError as error:
        send("error", error)
        raise SystemExit(1) from None  # it is told there
    except BaseException:  # noqa: BLE001 - the process that has started this one raises it
        send("failed", traceback.format_exc())
        raise SystemExit(1) from None
    return content


def _loaded(content: bytes, send: _Sender) -> Callable[[Any], Iterator[Any]]:
    """Return the work of a piece, and prepare this process for it; end the process if that cannot be done."""
    try:
        piece: Piece = pickle.loads(content)  # noqa: S301 - of the process that has started this one
        logging.getLogger(LOGGER).setLevel(piece.level)
        use_threads(piece.threads)
        use_mirrors(piece.mirrors)
        work: Callable[[Any], Iterator[Any]] = pickle.loads(piece.work)  # noqa: S301 - the same
    except BaseException as error:  # noqa: BLE001 - the same
        send("lost", f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
    return work


def _free_memory() -> None:
    """Give back what a piece of work had loaded: the next may come late, and needs other networks."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return_freed_memory()


def _receive(pipe: Connection, arriving: SimpleQueue[bytes]) -> None:
    """Pass on what arrives, so that the sender never waits; end the process when the pipe is closed."""
    while True:
        try:
            arriving.put(pipe.recv_bytes())
        except (EOFError, OSError):
            arriving.put(_END)
            time.sleep(GRACE)
            os._exit(1)  # it still works, though whoever would take the results is gone


class _Sender:
    """Sends messages of any thread through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def __call__(self, kind: str, value: Any = None) -> None:
        """Send a message of a kind."""
        content = pickle.dumps((kind, value))  # as they are, tensors too
        try:
            with self._lock:
                self._pipe.send_bytes(content)
        except OSError:
            os._exit(1)  # whoever would take it is gone, and nobody is left to be told


class _ToPipe(logging.handlers.QueueHandler):
    """Sends log messages to the process that this one works for.

    Args:
        send: Sends messages.
    """

    def __init__(self, send: _Sender) -> None:
        super().__init__(SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a message that is formatted already."""
        self._send("log", record)

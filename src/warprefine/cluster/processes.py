"""Do the work of a job by several processes of this machine."""

from __future__ import annotations

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
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

import torch

from warprefine.cluster.crew import Crew, Event, Task
from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import ClusterError, WarpRefineError
from warprefine.core.threads import use_threads

_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit threads of torch and numba half alive
_LOGGER = "warprefine"
_END = b""
_PATIENCE = 10.0
"""Seconds that a process which has closed its pipe has to end."""
_GRACE = 2.0
"""Seconds that a process without work has to end in order."""


class ProcessEngine:
    """An `Engine` whose work is done by processes of this machine, all started anew for each piece of work.

    Each computes with as many threads as torch has here, so that results equal those of one process, byte for
    byte. A process that dies is replaced, and what it had in hand begun again. All end with this process,
    however that ends. As with all processes that Python spawns, a script that uses the engine keeps what it
    does below `if __name__ == "__main__":`.

    Args:
        workers: How many processes there are at most.
        gpus: How many GPUs they share in turn, each process having one; 0 leaves them as they are.

    Example:
        >>> engine = ProcessEngine(workers=2)
        >>> autolabel("DATA", "RUN", engine=engine)  # doctest: +SKIP
    """

    is_here = False

    def __init__(self, *, workers: int, gpus: int = 0) -> None:
        self._workers, self._gpus = workers, gpus

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results as they come, and with None once it is done.

        Raises:
            ClusterError: Processes cannot start, or died at an item several times, or the work or an item
                cannot be had in another process.
            WarpRefineError: The work raised it.
        """
        office = _ProcessOffice(_pickled(work), gpus=self._gpus)
        yield from Crew[ItemT, ResultT](office, self._workers).results(iter(items))


class _ProcessWorker:
    """A process, the pipe to it, and the tasks that it has in hand, in order."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        level = logging.getLogger(_LOGGER).getEffectiveLevel()
        arguments = (theirs, torch.get_num_threads(), level, dict(environment))
        self._process = _SPAWN.Process(target=_serve, args=arguments, daemon=True)
        with _keeping_ctrl_c():
            self._process.start()
        theirs.close()
        self.has_started = False
        self.tasks: deque[Task[Any]] = deque()

    def give(self, task: Task[Any]) -> None:
        """Add a task to those that it has in hand."""
        self.tasks.append(task)
        content = _pickled(task.item)
        with suppress(OSError):  # it has died, which the next look at the pipe tells
            self.pipe.send_bytes(content)

    def dismiss(self) -> None:
        """End it, whatever it is doing; if that is nothing, in order."""
        if self.has_started and not self.tasks:
            self.pipe.close()
            self._process.join(_GRACE)
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def cause_of_death(self) -> str:
        """Return how it ended."""
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the process was killed by {signal.Signals(-code).name}"
        return f"the process ended with exit code {code}"


class _ProcessOffice:
    """Starts processes, and waits for them.

    Args:
        work: The work, pickled.
        gpus: How many GPUs the processes share in turn; 0 leaves them as they are.
    """

    def __init__(self, work: bytes, *, gpus: int) -> None:
        self._work, self._gpus, self._hired = work, gpus, 0

    def hire(self) -> _ProcessWorker:
        """Start a process."""
        visible = gpu_of(self._hired, gpus=self._gpus)
        self._hired += 1
        return _ProcessWorker({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})

    def wait(self, workers: Sequence[_ProcessWorker]) -> Iterator[Event]:
        """Wait until processes send something or die, and yield it."""
        ready = wait([worker.pipe for worker in workers])
        for worker in workers:
            if worker.pipe not in ready:
                continue
            try:
                kind, value = pickle.loads(worker.pipe.recv_bytes())  # noqa: S301 - of our own process
            except (EOFError, OSError):
                yield Event(worker=worker, kind="died", value=worker.cause_of_death())
                continue
            if (event := self._event(worker, kind, value)) is not None:
                yield event

    def _event(self, worker: _ProcessWorker, kind: str, value: Any) -> Event | None:
        """Return what a message of a process means to the work, if anything.

        Raises:
            WarpRefineError: The work raised it.
            RuntimeError: The work raised anything else.
        """
        if kind == "log":
            logging.getLogger(value.name).handle(value)
        elif kind == "ready":
            with suppress(OSError):  # it has died, which the next look at the pipe tells
                worker.pipe.send_bytes(self._work)
        elif kind == "started":
            worker.has_started = True
            return Event(worker=worker, kind="started")
        elif kind == "lost":
            return Event(worker=worker, kind="died", value=value)
        elif kind == "result":
            return Event(worker=worker, kind="result", task=worker.tasks[0], value=value)
        elif kind == "done":
            return Event(worker=worker, kind="done", task=worker.tasks.popleft())
        elif kind == "error":
            raise value
        else:
            raise RuntimeError(f"a worker has failed:\n{value}")
        return None


def gpu_of(number: int, *, gpus: int) -> str | None:
    """Return the GPU that the process of a number has, as CUDA_VISIBLE_DEVICES names it; None for no choice.

    Args:
        number: How many processes were started before.
        gpus: How many GPUs there are for all; 0 for no choice.

    Example:
        >>> [gpu_of(number, gpus=2) for number in range(3)]
        ['0', '1', '0']
    """
    if not gpus:
        return None
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = visible or [str(gpu) for gpu in range(gpus)]
    return names[number % len(names)]


def _pickled(value: object) -> bytes:
    """Return what stands for a value in another process.

    Raises:
        ClusterError: It cannot be had there.
    """
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ClusterError(
            f"a part of the work cannot be sent to another process: {error}; expected classes and functions "
            "of a module, not those of a function or of a session; or work in one process"
        ) from error


@contextmanager
def _keeping_ctrl_c() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started in the block: it is for this process alone."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would end what follows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, threads: int, level: int, environment: Mapping[str, str]) -> None:
    """Work on what arrives in a pipe, in a process that ends when the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":  # locks of libraries then have no names, which a killed process leaves behind
        multiprocessing.set_start_method("fork", force=True)
    os.environ.update(environment)
    send = _Sender(pipe)
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(_ToPipe(send))
    logger.setLevel(level)
    use_threads(threads)
    arriving: SimpleQueue[bytes] = SimpleQueue()
    send("ready")
    threading.Thread(target=_receive, args=(pipe, arriving), daemon=True).start()
    try:
        work = pickle.loads(arriving.get())  # noqa: S301 - of our own process
    except BaseException as error:  # noqa: BLE001 - the process that has started this one raises it
        send("lost", f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None  # it is told there
    send("started")
    try:
        while (content := arriving.get()) != _END:
            for result in work(pickle.loads(content)):  # noqa: S301 - the same
                send("result", result)
            send("done")
    except WarpRefineError as error:
        send("error", error)
        raise SystemExit(1) from None
    except BaseException:  # noqa: BLE001 - the same
        send("failed", traceback.format_exc())
        raise SystemExit(1) from None


def _receive(pipe: Connection, arriving: SimpleQueue[bytes]) -> None:
    """Pass on what arrives, so that the sender never waits; end the process when the pipe is closed."""
    while True:
        try:
            arriving.put(pipe.recv_bytes())
        except (EOFError, OSError):
            arriving.put(_END)
            time.sleep(_GRACE)
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

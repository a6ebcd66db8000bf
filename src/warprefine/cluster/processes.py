"""Do the work of a job by several processes of this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Literal

import torch

from warprefine.cluster.crew import Crew, Event, Task
from warprefine.cluster.serving import GRACE, LOGGER, REST, Piece, serve
from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import ClusterError
from warprefine.core.threads import available_cores
from warprefine.io.sharing import share_mirrors

_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit threads of torch and numba half alive
_PATIENCE = 10.0
"""Seconds that a process which has closed its pipe has to end."""


class ProcessEngine:
    """An `Engine` whose work is done by processes of this machine, which are kept from one work to the next.

    Each computes with as many threads as torch has here, so that results equal those of one process, byte for
    byte. A process that dies is replaced, and what it had in hand begun again. Between two pieces of work
    processes hold what they have imported, and no networks. All end when the engine is closed, when a piece
    of work ends early, and with this process, however that ends. As with all processes that Python spawns, a
    script that uses the engine keeps what it does below `if __name__ == "__main__":`.

    Args:
        workers: How many processes there are at most.
        gpus: How many GPUs they share in turn, each process having one; 0 leaves them as they are.

    Example:
        >>> with ProcessEngine(workers=2) as engine:
        ...     autolabel("DATA", "RUN", engine=engine)  # doctest: +SKIP
    """

    is_here = False
    is_on_this_machine = True

    def __init__(self, *, workers: int, gpus: int = 0) -> None:
        self._workers, self._gpus = workers, gpus
        self._idle: deque[_ProcessWorker] = deque()
        self._numbers = count()

    @property
    def cores_here(self) -> int:
        """Those of all processes."""
        return min(self._workers * torch.get_num_threads(), available_cores())

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results as they come, and with None once it is done.

        Raises:
            ClusterError: Processes cannot start, or died at an item several times, or the work or an item
                cannot be had in another process.
            WarpRefineError: The work raised it.
        """
        piece = Piece(
            work=_pickled(work),
            threads=torch.get_num_threads(),
            level=logging.getLogger(LOGGER).getEffectiveLevel(),
            mirrors=share_mirrors(self._workers),
        )
        office = _ProcessOffice(_pickled(piece), idle=self._idle, start=self._start)
        try:
            yield from Crew[ItemT, ResultT](office, self._workers).results(iter(items))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes that are without work; further work starts others."""
        idle = [*self._idle]
        self._idle.clear()
        for worker in idle:
            worker.pipe.close()  # all end at the same time
        for worker in idle:
            worker.dismiss()

    def __enter__(self) -> ProcessEngine:
        """Return the engine, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def _start(self) -> _ProcessWorker:
        visible = gpu_of(next(self._numbers), gpus=self._gpus)
        return _ProcessWorker({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})


class _ProcessWorker:
    """A process, the pipe to it, and the tasks that it has in hand, in order.

    Attributes:
        state: It starts; it loads a piece of work; it works on that; it rests until there is another one.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=serve, args=(theirs, dict(environment)), daemon=True)
        with _keeping_ctrl_c():
            self._process.start()
        theirs.close()
        self.state: Literal["starting", "loading", "working", "resting"] = "starting"
        self.tasks: deque[Task[Any]] = deque()

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.is_alive()

    def begin(self, piece: bytes) -> None:
        """Give it a piece of work, whose tasks follow."""
        self.state = "loading"
        self._send(piece)

    def give(self, task: Task[Any]) -> None:
        """Add a task to those that it has in hand."""
        self.tasks.append(task)
        self._send(_pickled(task.item))

    def rest(self) -> None:
        """End its piece of work, of which it has no task in hand."""
        self.state = "resting"
        self._send(REST)

    def dismiss(self) -> None:
        """End it, whatever it is doing; if that is nothing, in order."""
        self.pipe.close()
        if self.state in {"working", "resting"} and not self.tasks:
            self._process.join(GRACE)
        self._process.kill()
        self._process.join()

    def cause_of_death(self) -> str:
        """Return how it ended."""
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"the process was killed by {signal.Signals(-code).name}"
        return f"the process ended with exit code {code}"

    def _send(self, content: bytes) -> None:
        with suppress(OSError):  # it has died, which the next look at the pipe tells
            self.pipe.send_bytes(content)


class _ProcessOffice:
    """Starts processes for a piece of work, and waits for them.

    Args:
        piece: The piece of work, pickled.
        idle: Processes without work, which are taken first, and come back.
        start: Starts a process.
    """

    def __init__(
        self, piece: bytes, *, idle: deque[_ProcessWorker], start: Callable[[], _ProcessWorker]
    ) -> None:
        self._piece, self._idle, self._start = piece, idle, start

    def hire(self) -> _ProcessWorker:
        """Take a process that is idle, or start one."""
        while self._idle:
            worker = self._idle.popleft()
            if not worker.is_alive:
                worker.dismiss()
                continue
            if worker.state == "resting":
                worker.begin(self._piece)
            return worker
        return self._start()

    def release(self, worker: _ProcessWorker) -> None:
        """Keep a process that has no task in hand for other work, unless it is just loading that of this."""
        if worker.state == "loading":
            worker.dismiss()
            return
        if worker.state == "working":
            worker.rest()
        self._idle.append(worker)

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
            worker.begin(self._piece)
        elif kind == "started":
            worker.state = "working"
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

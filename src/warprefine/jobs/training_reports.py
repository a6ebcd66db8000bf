"""What a training reports from another process: its progress, and the values of its curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from warprefine.core.progress import Progress
from warprefine.io.curves import Curves

Report: TypeAlias = tuple[str, int, int, str]
"""The arguments of a call of `Progress`."""


@dataclass(frozen=True, kw_only=True)
class CurveValue:
    """The value of a curve after so many steps: the arguments of a call of `Watch`."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Passes the progress and the curves of a training on; fits `Progress`, and `watch` fits `Watch`.

    Attributes:
        tell: Called with each report and each value.
    """

    tell: Callable[[Report | CurveValue], None]

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Pass on a report of the progress."""
        self.tell((task, done, total, note))

    def watch(self, name: str, step: int, value: float) -> None:
        """Pass on the value of a curve."""
        self.tell(CurveValue(name=name, step=step, value=value))


class Listener:
    """Receives what trainings report that run at the same time; `listening` makes one.

    Args:
        progress: Called with the reports.
        stack: Closes the files of the curves.
    """

    def __init__(self, progress: Progress, stack: ExitStack) -> None:
        self._progress, self._stack = progress, stack
        self._curves: dict[tuple[Path, str], Curves] = {}
        self._last: dict[tuple[Path, str, str], int] = {}

    def take(self, weights: Path, told: Report | CurveValue) -> None:
        """Report progress, or write a value beside the weights that are being trained.

        A training that is begun again, because its worker died, repeats steps: their values are replaced.
        """
        if not isinstance(told, CurveValue):
            self._progress(*told)
            return
        folder, task = weights.parent, weights.stem
        repeated = told.step <= self._last.get((folder, task, told.name), -1)
        if repeated or (folder, task) not in self._curves:
            self._curves[folder, task] = self._stack.enter_context(Curves(folder, task=task))
            self._last = {key: step for key, step in self._last.items() if key[:2] != (folder, task)}
        self._last[folder, task, told.name] = told.step
        self._curves[folder, task](told.name, told.step, told.value)


@contextmanager
def listening(progress: Progress) -> Iterator[Listener]:
    """Return what receives the reports of trainings; the files of their curves are closed at the end.

    Args:
        progress: Called with the reports of all.
    """
    with ExitStack() as stack:
        yield Listener(progress, stack)

"""Write the curves of a training to a file of JSON lines and to TensorBoard."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from warprefine.io.atomic import make_folder, write_text, writing_errors

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


class Curves:
    """Append the values of a training's curves to the files of a run; call it like a function.

    FOLDER/metrics.jsonl        one {"step": 20, "name": "segmenter/loss", "value": 0.5} a line
    FOLDER/tensorboard/TASK/    the same as TensorBoard events, where that package is installed

    No file is touched before the first value. Values that an earlier, killed training of this task wrote
    for the step of the first value and for later steps are removed. Curves of several tasks may be written to
    one folder in turns by one process.

    Args:
        folder: The folder of the run.
        task: Which of its trainings this is; the prefix of each name.
    """

    def __init__(self, folder: Path, *, task: str) -> None:
        self._path = folder / "metrics.jsonl"
        self._events_folder = folder / "tensorboard" / task
        self._task = task
        self._begun = False
        self._events: SummaryWriter | None = None
        self._hook = threading.excepthook

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files; written values stay, also after an error."""
        if self._events is not None:
            with suppress(OSError):  # each line was written out; an error that ended the training counts
                self._events.close()
        if threading.excepthook == self._tell:
            threading.excepthook = self._hook
        self._begun, self._events = False, None

    def __call__(self, name: str, step: int, value: float) -> None:
        """Write the value of `name` after `step` steps.

        Raises:
            RunFolderError: A file cannot be written.
        """
        if not self._begun:
            self._open(step)
        name = f"{self._task}/{name}"
        # Not kept open: what another training of the folder repeats is removed by replacing the file.
        with writing_errors(self._path), self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, "name": name, "value": value}) + "\n")
        if self._events is not None:
            with writing_errors(self._events_folder):
                self._events.add_scalar(name, value, step)

    def _open(self, first: int) -> None:
        """Open the events; values of this task from step `first` on are removed."""
        make_folder(self._path.parent)
        with writing_errors(self._path):
            if self._path.exists():
                write_text(self._path, _before(first, self._task, self._path.read_text(encoding="utf-8")))
        self._begun = True
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log.info(
                "TensorBoard is not installed, curves go to %s alone; it comes with the extra tensorboard",
                self._path,
            )
            return
        with writing_errors(self._events_folder):
            threading.excepthook = self._tell
            self._events = SummaryWriter(str(self._events_folder), purge_step=first)

    def _tell(self, problem: threading.ExceptHookArgs) -> None:
        """Pass over what TensorBoard's thread cannot write: the next value is told so."""
        ours = type(problem.thread).__module__.startswith("tensorboard")
        if not (ours and isinstance(problem.exc_value, OSError)):
            self._hook(problem)


def _before(first: int, task: str, text: str) -> str:
    """Return the lines of other tasks, and those of `task` before step `first`."""
    kept = []
    for line in text.splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a killed training left half a line
        if entry["name"].rpartition("/")[0] != task or entry["step"] < first:
            kept.append(line)
    return "".join(kept)

"""Terminal output: progress, summaries, and errors in one line."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from warprefine.cli.log import TaskLog
from warprefine.cli.overview import COMMANDS
from warprefine.cli.terminal import SafeConsole, replace_what_cannot_be_shown, shown
from warprefine.core.errors import WarpRefineError
from warprefine.core.names import counted
from warprefine.core.progress import ProgressLines
from warprefine.datasets.summary import DatasetSummary, VideoSummary
from warprefine.propagation.coverage import Coverage

QUIET_INTERVAL = 20.0
"""Seconds between lines of progress where there is no terminal to draw bars on."""

LONGEST_LIST = 40
"""Videos that `inspect` lists before it only counts."""

GROUPED_FROM = 100
"""Videos from which on `inspect` does not list them at all: it counts those that are alike."""

_LONGEST_PATH = 200
"""Letters of a path in a message; a longer one is cut in the middle."""


console = SafeConsole()
_errors = SafeConsole(stderr=True)


class _Left(TimeRemainingColumn):
    """How long the job still takes where that is forecast, else the task in hand."""

    def render(self, task: Task) -> Text:
        """Return what is shown."""
        forecast = task.fields["forecast"]
        return Text(forecast, style="progress.remaining") if forecast else super().render(task)


class Bars:
    """Progress: a bar of the task in hand on a terminal, elsewhere a line every 20 seconds; and a log."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            _Left(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._task: tuple[str, TaskID] | None = None
        self._forecast = ""
        self._lines = ProgressLines(console.print, interval=QUIET_INTERVAL)
        self._log = TaskLog()

    def __enter__(self) -> Bars:
        if console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self._bars.stop()

    def forecast(self, text: str) -> None:
        """Show how long the job still takes, beside the task in hand."""
        self._forecast = self._shown(text)
        self._lines.forecast(text)

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of a task are finished."""
        self._log(task, done, total, note)
        if not console.is_terminal:
            self._lines(task, done, total, note)
            return
        note, forecast = self._shown(note), self._forecast
        if self._task is None or self._task[0] != task:  # all tasks share one line
            if self._task is not None:
                self._bars.remove_task(self._task[1])
            self._task = (
                task,
                self._bars.add_task(self._shown(task), total=total, note=note, forecast=forecast),
            )
        self._bars.update(self._task[1], completed=done, total=total, note=note, forecast=forecast)

    @staticmethod
    def _shown(text: str) -> str:
        return shown(text, console.encoding)


class Commands(TyperGroup):
    """Group of commands: a user's mistake ends in one line and exit code 2, a bug keeps its traceback.

    What the operating system refuses (a full disk, a name that is too long, no permission) is no bug either.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order of the overview."""
        places = {name: place for place, name in enumerate(COMMANDS)}
        return sorted(super().list_commands(ctx), key=lambda name: places.get(name, len(places)))

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the program; warnings are printed as notes, and the terminal may have any encoding."""
        replace_what_cannot_be_shown()
        logger, notes = logging.getLogger("warprefine"), _Notes(logging.WARNING)
        logger.addHandler(notes)
        try:
            return super().main(*args, **settings)
        finally:
            logger.removeHandler(notes)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except WarpRefineError as error:
            print_error(str(error))
        except BrokenPipeError:
            raise  # whoever reads the output has seen enough
        except OSError as error:
            print_error(_refusal(error))
        except UnicodeEncodeError as error:
            if error.reason != "surrogates not allowed":
                raise
            name = error.object[max(0, error.start - 40) : error.end + 40]
            print_error(f"the name {name!r} is not UTF-8, expected names in UTF-8; rename the file")
        except sqlite3.OperationalError as error:
            print_error(f"cannot use the manifest of the run: {error}; check the folder and its disk")
        except KeyboardInterrupt as stop:
            print_error(str(stop) or "stopped; run the same command again, it continues where it stopped")
            print_notes(getattr(stop, "__notes__", []))
            sys.exit(128 + getattr(stop, "signal", signal.SIGINT))
        sys.exit(2)


class _Notes(logging.Handler):
    """Prints what the library warns of, a line each; errors are printed when the work is done."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            print_notes([" ".join(record.getMessage().split())])


def print_error(message: str) -> None:
    """Print one line to the error stream."""
    _errors.print(f"error: {' '.join(message.split())}")


def _refusal(error: OSError) -> str:
    """Return what the operating system refused, with a remedy."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if len(where) > _LONGEST_PATH:
        where = f"{where[: _LONGEST_PATH // 2]}...{where[-_LONGEST_PATH // 2 :]}"
    return (
        f"the operating system refused: {reason}{where and f' ({where})'}; see to that and run the same "
        "command again, it continues where it stopped"
    )


def print_coverage(finished: Sequence[Coverage]) -> None:
    """Print how many frames of each video have labels, and which are out of reach."""
    for one in finished[:LONGEST_LIST]:
        console.print(f"{one.video}: {one}")
    if left_out := finished[LONGEST_LIST:]:
        console.print(f"... and {counted(len(left_out), 'more video')}")
    if len(finished) > 1:
        labelled, frames = (sum(one.labelled for one in finished), sum(one.frames for one in finished))
        console.print(f"{counted(len(finished), 'video')}: {labelled} of {frames} frames labelled")


def print_out_of_reach(planned: Sequence[Coverage], *, horizon: int) -> None:
    """Print, before the work, for which frames it is in vain to wait."""
    gaps = [one for one in planned if one.out_of_reach]
    for one in gaps[:LONGEST_LIST]:
        if far := len(one.out_of_reach) - len(one.cut_off):
            console.print(
                f"note: {far} of {one.frames} frames of {one.video} are farther than {horizon} from every "
                "key frame and get no labels; label more key frames, or raise --horizon ('all': every frame)"
            )
        if one.cut_off:
            console.print(
                f"note: {len(one.cut_off)} of {one.frames} frames of {one.video} get no labels, because cuts "
                "or blank frames lie between them and every key frame; label a frame of each shot"
            )
    if left_out := gaps[LONGEST_LIST:]:
        console.print(f"note: so are frames of {counted(len(left_out), 'more video')}")


def print_notes(notes: Iterable[str]) -> None:
    """Print remarks on what is missing, a line each."""
    for note in notes:
        console.print(f"note: {note}")


def print_summary(summary: DatasetSummary) -> None:
    """Print what a data set holds: its videos, its class frequencies as bars, what it lacks, its problems."""
    if len(summary.videos) < GROUPED_FROM:
        _print_videos(summary.videos)
    else:
        _print_groups(summary.videos)
    frames = sum(video.frames for video in summary.videos)
    keys = sum(video.key_frames for video in summary.videos)
    # Programs read this line: it has one form for all numbers.
    console.print(f"{len(summary.videos)} videos, {frames} frames, {keys} key frames\n")
    classes = Table("class", "share of labelled pixels", "", box=None, pad_edge=False)
    for name, share in zip((*summary.classes.names, "void"), summary.frequencies, strict=True):
        classes.add_row(name, f"{100 * share:.2f} %", "█" * round(40 * share))
    console.print(classes)
    if summary.counted < keys:
        console.print(f"from {summary.counted} of {keys} label maps")
    print_notes(summary.notes)
    for problem in summary.problems:
        print_error(problem)


def _print_videos(summaries: Sequence[VideoSummary]) -> None:
    videos = Table(box=None, pad_edge=False)
    videos.add_column("video")
    for heading in ("frames", "key", "truth", "farthest", "size"):
        videos.add_column(heading, justify="right")
    for video in summaries[:LONGEST_LIST]:
        counts = (video.frames, video.key_frames, video.truth_frames)
        farthest = "–" if video.farthest is None else str(video.farthest)
        videos.add_row(video.name, *map(str, counts), farthest, _size(video))
    console.print(videos)
    console.print("farthest: frames from a frame to its nearest key frame; --horizon says how far labels go")
    left_out = summaries[LONGEST_LIST:]
    if left_out:
        console.print(f"... and {counted(len(left_out), 'more video')}")


def _print_groups(summaries: Sequence[VideoSummary]) -> None:
    """Print a line for all videos that are alike, the most frequent kind first."""
    groups = Counter(
        f"of {counted(video.frames, 'frame')} ({counted(video.key_frames, 'key frame')}, "
        + (f"{video.truth_frames} with truth, " if video.truth_frames else "")
        + f"{_size(video)})"
        for video in summaries
    ).most_common()
    for kind, count in groups[:LONGEST_LIST]:
        console.print(f"{counted(count, 'video')} {kind}")
    left_out = groups[LONGEST_LIST:]
    if left_out:
        more = sum(count for _, count in left_out)
        console.print(f"... and {counted(more, 'more video')} of {counted(len(left_out), 'other kind')}")


def _size(video: VideoSummary) -> str:
    return f"{video.size[1]} x {video.size[0]}" if video.size else "unreadable"

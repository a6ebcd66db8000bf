"""Terminal output: progress, summaries, and errors in one line."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer import rich_utils
from typer.core import TyperGroup

from warprefine.core.errors import WarpRefineError
from warprefine.datasets.summary import DatasetSummary, VideoSummary
from warprefine.io.atomic import make_folder, writing_errors

QUIET_INTERVAL = 20.0
"""Seconds between lines of progress where there is no terminal to draw bars on."""

LONGEST_LIST = 40
"""Videos that `inspect` lists before it only counts."""

GROUPED_FROM = 100
"""Videos from which on `inspect` does not list them at all: it counts those that are alike."""


class _Words:
    """Replaces the emoji filter of help texts, which would turn `:train:` in an example into a picture."""

    @staticmethod
    def replace(text: str) -> str:
        return text


rich_utils.Emoji = _Words  # type: ignore[attr-defined, assignment]

# File names are printed as they are: no markup, no emoji.
console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
_errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class Bars:
    """Progress: a bar per task on a terminal, elsewhere a line every 20 seconds."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line = 0.0

    def __enter__(self) -> Bars:
        if console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self._bars.stop()

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of a task are finished."""
        if console.is_terminal:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total, note="")
            self._bars.update(self._tasks[task], completed=done, total=total, note=note)
        elif done == total or time.monotonic() - self._last_line > QUIET_INTERVAL:
            self._last_line = time.monotonic()
            console.print(f"{task}: {done} of {total} {note}".rstrip())


class Commands(TyperGroup):
    """Group of commands: a user's mistake ends in one line and exit code 2, a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except WarpRefineError as error:
            print_error(str(error))
            sys.exit(2)
        except KeyboardInterrupt as stop:
            print_error(str(stop) or "stopped; run the same command again, it continues where it stopped")
            sys.exit(128 + getattr(stop, "signal", signal.SIGINT))


def print_error(message: str) -> None:
    """Print one line to the error stream."""
    _errors.print(f"error: {' '.join(message.split())}")


@contextmanager
def log_to(run: Path) -> Iterator[None]:
    """Append log messages to the log of a run, inside the context."""
    path = make_folder(run) / "log.txt"
    with writing_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.raiseExceptions = False  # a full disk is reported by the job, not by its log
    logger = logging.getLogger("warprefine")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


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
    for heading in ("frames", "key", "truth", "size"):
        videos.add_column(heading, justify="right")
    for video in summaries[:LONGEST_LIST]:
        counts = (video.frames, video.key_frames, video.truth_frames)
        videos.add_row(video.name, *map(str, counts), _size(video))
    console.print(videos)
    left_out = summaries[LONGEST_LIST:]
    if left_out:
        console.print(f"... and {len(left_out)} more videos")


def _print_groups(summaries: Sequence[VideoSummary]) -> None:
    """Print a line for all videos that are alike, the most frequent kind first."""
    groups = Counter(
        f"of {_count(video.frames, 'frame')} ({_count(video.key_frames, 'key frame')}, "
        + (f"{video.truth_frames} with truth, " if video.truth_frames else "")
        + f"{_size(video)})"
        for video in summaries
    ).most_common()
    for kind, count in groups[:LONGEST_LIST]:
        console.print(f"{_count(count, 'video')} {kind}")
    left_out = groups[LONGEST_LIST:]
    if left_out:
        more = sum(count for _, count in left_out)
        console.print(f"... and {_count(more, 'more video')} of {len(left_out)} other kinds")


def _size(video: VideoSummary) -> str:
    return f"{video.size[1]} x {video.size[0]}" if video.size else "unreadable"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

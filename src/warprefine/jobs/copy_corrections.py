"""Copy the corrections of a run into a data set folder, as label maps of key frames, on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.names import counted
from warprefine.core.video import Video
from warprefine.datasets import open_dataset
from warprefine.io.atomic import lock_of
from warprefine.io.images import read_labels, write_labels
from warprefine.io.locks import locked_file
from warprefine.jobs.finished import FinishedRun


def copy_corrections(run: Path, data: Path, *, overwrite: bool = False) -> list[Path]:
    """Copy every corrected label map into DATA/videos/NAME/labels; return the files that were written.

    They are written with the numbers that the classes have there. All is checked first, so that nothing is
    written if a label map is in the way. One that holds the same labels already stays as it is.

    Args:
        run: The run folder.
        data: A data set folder (classes.toml, videos) with the classes, videos and frames of the run.
        overwrite: Replace label maps that are there.

    Raises:
        DatasetError: `data` is no such folder, or lacks a video or frame.
        LabelError: It has other classes, or other labels of a corrected frame.
        RunFolderError: `run` is no finished run, or `data` cannot be written.

    Example:
        >>> copy_corrections(Path("RUN"), Path("DATA"))  # doctest: +SKIP
    """
    finished = FinishedRun.open(run)
    if not (data / "classes.toml").is_file():
        raise DatasetError(
            f"{data} has no classes.toml; expected a data set folder with videos/NAME/labels; use "
            "`warprefine export RUN --frames key` for other layouts"
        )
    classes, own = open_dataset(data).classes, finished.dataset.classes
    if classes.names != own.names:
        raise LabelError(
            f"{data} has the classes {shorten(classes.names)}, but {run} has {shorten(own.names)}; expected "
            "the same classes in the same order"
        )
    due, others = [], []
    for source, target in _pairs(finished, data):
        labels = read_labels(source, own)
        if target.exists():
            if read_labels(target, classes).equal(labels):
                _tidy(target)
                continue
            others.append(target)
        due.append((labels, target))
    if others and not overwrite:
        raise LabelError(
            f"{counted(len(others), 'label map')} of {data} with other labels than the corrections: "
            f"{shorten(others)}; add --overwrite to replace them"
        )
    for labels, target in due:
        with locked_file(target):
            write_labels(target, labels, classes)
    return [target for _, target in due]


def _tidy(target: Path) -> None:
    """Delete the lock that a killed process has left beside a label map, if there is one."""
    if lock_of(target).exists():
        with locked_file(target):
            pass


def _pairs(finished: FinishedRun, data: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the file of each correction, and where it goes."""
    there = {video.name: video for video in open_dataset(data).videos}
    for video in finished.dataset.videos:
        for frame in video.corrected:
            stem = video.stems[frame]
            if stem not in _stems(there.get(video.name)):
                raise DatasetError(
                    f"{data} has no frame {stem} of a video {video.name!r}, which was corrected; expected "
                    "the data set that the run labelled"
                )
            yield video.labels[frame], data / "videos" / video.name / "labels" / f"{stem}.png"


def _stems(video: Video | None) -> frozenset[str]:
    return frozenset() if video is None else frozenset(video.stems)

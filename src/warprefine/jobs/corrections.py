"""Corrections of a run: label maps of its own that make key frames; the user's data are never altered.

RUN/corrections/VIDEO/STEM.png   a corrected label map; the file alone decides whether there is a correction
RUN/redo/TIME-NUMBER.json        a frame whose label map changed: the gaps beside it are to be labelled again

Both are written beside the lock of the run, because a person does not wait for a job to end.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import KeyFrameError, LabelError
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_beside_lock, writing_errors
from warprefine.io.claims import read_claim
from warprefine.io.frames import frame_size
from warprefine.io.images import labels_as_png


@dataclass(frozen=True, kw_only=True)
class DueRedo:
    """A frame whose label map changed, so that the gaps beside it are to be labelled again.

    Attributes:
        video: The name of the video.
        frame: The number of the frame.
        record: The file that says so.
    """

    video: str
    frame: int
    record: Path


def with_corrections(dataset: Dataset, root: Path) -> Dataset:
    """Take the corrections in a run folder for label maps of key frames.

    Corrections of frames that a video does not have, as after frames were renamed, are passed over.

    Args:
        dataset: The data set of the run.
        root: The run folder.

    Example:
        >>> from warprefine.datasets import open_dataset
        >>> dataset = with_corrections(open_dataset("DATA"), Path("RUN"))  # doctest: +SKIP
        >>> dataset.videos[0].corrected  # doctest: +SKIP
        (25,)
    """
    if not (root / "corrections").is_dir():
        return replace(dataset, videos=tuple(video.of_data for video in dataset.videos))
    videos = (video.with_corrections(corrections_of(video, root)) for video in dataset.videos)
    return replace(dataset, videos=tuple(videos))


def corrections_of(video: Video, root: Path) -> dict[int, Path]:
    """Return the corrected label maps of a video in a run folder, by frame; damaged frames have none."""
    stems = {path.stem for path in (root / "corrections" / video.name).glob("*.png")}
    if not stems:
        return {}
    return {
        frame: correction_path(video, frame, root)
        for frame, stem in enumerate(video.stems)
        if stem in stems and frame not in video.damaged
    }


def correction_path(video: Video, frame: int, root: Path) -> Path:
    """Return where the corrected label map of a frame lies in a run folder."""
    return root / "corrections" / video.name / f"{video.stems[frame]}.png"


def correction_as_png(video: Video, frame: int, labels: LabelMaps, *, classes: ClassSet) -> bytes:
    """Return the content of the file of a correction.

    Args:
        video: The video.
        frame: The number of the frame.
        labels: Class positions or VOID, (1, h, w).
        classes: The classes of the run.

    Raises:
        KeyFrameError: The video has no such frame, or it cannot be read.
        LabelError: The labels are not of the frame's size, of no class, or all void.
    """
    if not 0 <= frame < len(video) or frame in video.damaged:
        raise KeyFrameError(
            f"video {video.name!r} has no frame {frame} that can be corrected; expected one of 0 to "
            f"{len(video) - 1} that can be read"
        )
    (h, w), found = frame_size(video, frame), tuple(labels.shape[1:])
    if found != (h, w):
        raise LabelError(
            f"the correction of {video.name}/{video.stems[frame]} is {found[0]} x {found[1]} (h x w), but "
            f"its frame is {h} x {w}; draw it at the size of the frame"
        )
    content = labels_as_png(labels, classes)
    if bool((labels == VOID).all()):
        raise LabelError(
            f"the correction of {video.name}/{video.stems[frame]} labels no pixel, which makes no key frame; "
            "label some, or take the correction back"
        )
    return content


def save_correction(video: Video, frame: int, labels: LabelMaps, *, classes: ClassSet, root: Path) -> None:
    """Make a frame of a run a key frame with these labels; `Relabeller` then labels the gaps beside it.

    Whenever the process is killed, the frame has its former labels or these.

    Args:
        video: The video.
        frame: The number of the frame; it may be a key frame already.
        labels: Class positions or VOID, (1, h, w).
        classes: The classes of the run.
        root: The run folder.

    Raises:
        KeyFrameError: The video has no such frame.
        LabelError: The labels are not of the frame's size, of no class, or all void.
        RunFolderError: The run folder cannot be written.

    Example:
        >>> from warprefine import FinishedRun
        >>> run = FinishedRun.open("RUN")  # doctest: +SKIP
        >>> save_correction(
        ...     run.dataset.videos[0], 25, labels, classes=run.dataset.classes, root=run.run.root
        ... )  # doctest: +SKIP
    """
    put_correction(video, frame, correction_as_png(video, frame, labels, classes=classes), root=root)


def put_correction(video: Video, frame: int, content: bytes | None, *, root: Path) -> None:
    """Put the content that `correction_as_png` returned into its place; None takes a correction back.

    Raises:
        RunFolderError: The run folder cannot be written.
    """
    # The record comes first: after a kill in between, labelling again finds that nothing has changed.
    note_redo(video.name, frame, root=root)
    path = correction_path(video, frame, root)
    if content is not None:
        write_beside_lock(path, content)
        return
    with writing_errors(path):
        path.unlink(missing_ok=True)


def note_redo(video: str, frame: int, *, root: Path) -> None:
    """Record that the label map of a frame changes, so that the gaps beside it are labelled again."""
    record = json.dumps({"video": video, "frame": frame}) + "\n"
    # Names in order of time; a second record of a frame is another file, which who ends the first one keeps.
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
    write_beside_lock(root / "redo" / name, record.encode())


def due_redos(root: Path) -> tuple[DueRedo, ...]:
    """Return the frames of a run beside which gaps are to be labelled again, the newest first.

    Raises:
        RunFolderError: A record is damaged.
    """
    found = []
    for record in sorted((root / "redo").glob("*.json"), reverse=True):
        named = read_claim(record, {"video": str, "frame": int})
        found.append(DueRedo(video=named["video"], frame=named["frame"], record=record))
    return tuple(found)


def end_redos(redos: Iterable[DueRedo]) -> None:
    """Delete records of frames beside which all is labelled again."""
    for due in redos:
        with writing_errors(due.record):
            due.record.unlink(missing_ok=True)

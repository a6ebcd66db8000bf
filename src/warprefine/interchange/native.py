"""Write imported label maps as a data set folder, or into one: whole, or not at all."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from warprefine.core.errors import (
    DatasetError,
    FrameSizeError,
    KeyFrameError,
    LabelError,
    RunFolderError,
    shorten,
)
from warprefine.core.names import counted
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import VOID
from warprefine.core.video import Video
from warprefine.datasets.file_names import normal_form, twins
from warprefine.datasets.files import visible
from warprefine.interchange.class_map import ClassMap
from warprefine.interchange.frames import FrameMatcher, own_place
from warprefine.interchange.imported import ImportedFrame
from warprefine.interchange.shapes import positions_in
from warprefine.io.atomic import draft_of, writing_errors
from warprefine.io.frames import frame_size
from warprefine.io.images import image_size, write_labels
from warprefine.io.locks import locked_file
from warprefine.io.places import at_hand


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where the label map of an imported frame goes.

    Attributes:
        frame: The imported frame.
        video: Name of the video.
        stem: Name of the frame.
        size: Returns its (h, w).
        picture: The picture in the export, where that is the picture of the frame.
    """

    frame: ImportedFrame
    video: str
    stem: str
    size: Callable[[], tuple[int, int]]
    picture: Path | None = None


@dataclass(kw_only=True)
class Written:
    """How many label maps were written of each video, and notes on what was not."""

    labels: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def places(frames: Sequence[ImportedFrame], videos: Sequence[Video], *, video: str | None) -> list[Place]:
    """Return where each frame goes: matched with videos or, without any, by its own name and picture.

    Raises:
        KeyFrameError: A frame is none of the videos or may be several, or two are the same.
        DatasetError: There are neither videos nor pictures in the export.
    """
    if not videos:
        found = [_own(frame, video) for frame in frames]
    else:
        matcher = FrameMatcher(videos, video=video)
        found = [_matched(matcher, frame) for frame in frames]
    seen: dict[tuple[str, str], Place] = {}
    for place in found:
        other = seen.setdefault((place.video, place.stem), place)
        if other is not place:
            raise KeyFrameError(
                f"{other.frame.where} and {place.frame.where} are both the frame {place.video}/{place.stem}; "
                "expected each frame once; keep one of them"
            )
    return found


def _matched(matcher: FrameMatcher, frame: ImportedFrame) -> Place:
    video, number = matcher.find(frame)
    return Place(
        frame=frame, video=video.name, stem=video.stems[number], size=lambda: frame_size(video, number)
    )


def _own(frame: ImportedFrame, video: str | None) -> Place:
    picture = frame.picture() if callable(frame.picture) else frame.picture
    if picture is None:
        name = frame.name.replace("\\", "/").rpartition("/")[2]
        raise DatasetError(
            f"{frame.where} has no picture in the export; expected the frames of the videos; say --frames "
            f"DIR, the folder that holds {repr(name) if name else 'the pictures'}, or VIDEO/STEM.png or "
            "VIDEO.mp4 for each video; or --frames FILE, a video file"
        )
    name, stem = own_place(frame, video=video)
    return Place(
        frame=frame, video=normal_form(name), stem=stem, size=lambda: image_size(picture), picture=picture
    )


def write_label_maps(
    draft: Path, found: Sequence[Place], classes: ClassMap, *, progress: Progress = silent
) -> Written:
    """Draw label maps into a draft of a data set folder; those that are void everywhere are left out.

    Raises:
        LabelError: One does not fit its frame, or has a class that the project does not have.
        FrameError: A picture cannot be read.
    """
    written = Written()
    empty: list[str] = []
    for done, place in enumerate(found, start=1):
        labels = _drawn(place, classes)
        if labels is None:
            empty.append(f"{place.video}/{place.stem}")
        else:
            path = draft / "videos" / place.video / "labels" / f"{place.stem}.png"
            write_labels(path, torch.from_numpy(labels)[None], classes.classes)
            written.labels[place.video] = written.labels.get(place.video, 0) + 1
        progress("importing", done, len(found), place.stem)
    if empty:
        written.notes.append(
            f"{counted(len(empty), 'frame has', 'frames have')} no labelled pixel, so no label map: "
            f"{shorten(empty)}; use "
            "--background "
            "CLASS if what is unlabelled is a class"
        )
    return written


def _drawn(place: Place, classes: ClassMap) -> np.ndarray | None:
    """Return the label map of a frame in the classes of the project; None if nothing is labelled."""
    frame, size = place.frame, place.size()
    if frame.size is not None and frame.size != size:
        raise FrameSizeError(
            f"{frame.where} is {_by(frame.size)} (h x w), but the frame {place.video}/{place.stem} is "
            f"{_by(size)}; "
            "expected labels of the size of the frame; export them unscaled, or give the frames that were "
            "labelled"
        )
    labels = frame.draw(size)
    if labels.shape != size:
        raise LabelError(
            f"{frame.where} has a label map of {_by(labels.shape)} (h x w), but the frame {place.video}/"
            f"{place.stem} is {_by(size)}; expected the size of the frame; export it unscaled"
        )
    # A frame that nobody has touched is no frame of background, whatever that is.
    if all(classes.table[position] == VOID for position in positions_in(labels)):
        return None
    return classes.apply(labels, where=frame.where)


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a draft folder that becomes `target` when the block ends without an error; else nothing is left.

    What killed processes have left of earlier drafts is deleted.

    Raises:
        RunFolderError: There is something of that name, another process is writing it, or it cannot be
            written.
    """
    refuse_existing(target)
    draft = draft_of(target.absolute())
    with locked_file(target.absolute()):
        try:
            with writing_errors(target):
                draft.mkdir()
                yield draft
                refuse_existing(target)
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def refuse_existing(target: Path) -> None:
    """Raise if there is something of a name.

    Raises:
        RunFolderError: There is.
    """
    if os.path.lexists(target):
        raise RunFolderError(
            f"{target} exists already; expected a new name, as nothing is overwritten; choose another"
        )


def copy_video(draft: Path, video: Video) -> None:
    """Copy the frames of a video, or its video file, into a draft of a data set folder."""
    if video.container is not None:
        _copy(video.container, draft / "videos" / f"{video.name}{video.container.suffix}")
    for path in video.frame_paths:
        _copy(path, draft / "videos" / video.name / "frames" / path.name)


def copy_pictures(draft: Path, found: Sequence[Place]) -> None:
    """Copy the pictures of an export into a draft of a data set folder.

    With those of labelled frames come all others of their folders, as a video is more than its key frames.
    """
    own: dict[str, dict[Path, str]] = {}
    for place in found:
        if place.picture is not None:
            own.setdefault(place.video, {})[place.picture] = place.stem
    for video, stems in own.items():
        endings = {path.suffix.lower() for path in stems}
        beside = [path for folder in {path.parent for path in stems} for path in visible(folder)]
        pictures = [path for path in beside if path.suffix.lower() in endings]
        masks = {second for _, second in twins(pictures)}
        for path in pictures:
            if path not in masks:
                target = f"{stems.get(path, path.stem)}{path.suffix.lower()}"
                _copy(path, draft / "videos" / video / "frames" / target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(at_hand(source), target)


@contextmanager
def added_files(data: Path) -> Iterator[Path]:
    """Yield a draft whose files are moved into a data set folder when the block ends without an error.

    Files that are there already are refused before anything is moved, unless they are the same; what was
    moved is taken back if the disk refuses a later one.

    Raises:
        RunFolderError: A file is there already, or it cannot be written.
    """
    draft = draft_of(data.absolute())
    moved: list[Path] = []
    with locked_file(data.absolute()):
        try:
            with writing_errors(data):
                draft.mkdir()
                yield draft
                for path, target in _moves(draft, data).items():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    path.rename(target)
                    moved.append(target)
                moved.clear()
        finally:
            for target in moved:
                with suppress(OSError):
                    target.unlink(missing_ok=True)
            shutil.rmtree(draft, ignore_errors=True)


def _moves(draft: Path, data: Path) -> dict[Path, Path]:
    """Return where each file of a draft goes; those that are there already with the same content stay.

    Raises:
        RunFolderError: One is there with another content.
    """
    moves = {path: data / path.relative_to(draft) for path in sorted(draft.rglob("*")) if path.is_file()}
    there = [path for path, target in moves.items() if os.path.lexists(target)]
    other = [moves[path] for path in there if not filecmp.cmp(path, moves[path], shallow=False)]
    if other:
        more = f", and {len(other) - 1} more" if other[1:] else ""
        raise RunFolderError(
            f"{other[0]} is there already with other labels{more}; expected frames without a label map, or "
            "the same; "
            "delete those that the import is to replace"
        )
    return {path: target for path, target in moves.items() if path not in there}

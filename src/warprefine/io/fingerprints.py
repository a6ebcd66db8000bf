"""Hash what outputs depend on, to detect changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from warprefine.core.errors import FrameError, LabelError, WarpRefineError
from warprefine.core.video import Video
from warprefine.io.atomic import reading_errors
from warprefine.io.deep_pixels import is_deep
from warprefine.io.frames import range_sample
from warprefine.io.pictures import with_picture
from warprefine.io.places import at_hand, version_of

_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What tells that a file changed, without reading it; it also differs for files exchanged by renaming.

    Attributes:
        size: In bytes.
        modified_ns: The time of the last change of the content, which programs can set.
        changed_ns: The time of the last change of the inode, which they cannot.
        inode: Its number.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def file_state(path: Path) -> FileState:
    """Return the state of a file.

    Raises:
        OSError: There is none, or it cannot be reached.
    """
    if (listed := version_of(path)) is not None:  # it may come and go here without changing
        size, modified, version = listed
        number = int(hashlib.sha256(version.encode()).hexdigest()[:_DIGITS], 16)
        time_ns = int(modified * 1e9)
        return FileState(size=size, modified_ns=time_ns, changed_ns=time_ns, inode=number)
    found = path.stat()
    return FileState(
        size=found.st_size,
        modified_ns=found.st_mtime_ns,
        changed_ns=found.st_ctime_ns,
        inode=found.st_ino,
    )


def fingerprint_of(*parts: object) -> str:
    """Return a short hash of values by their `repr`: numbers, strings, tuples, lists and settings of them.

    Example:
        >>> fingerprint_of("dis-fine", 0.12) == fingerprint_of("dis-fine", 0.12)
        True
        >>> fingerprint_of("dis-fine", 0.12) == fingerprint_of("dis-fine", 0.13)
        False
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DIGITS]


def fingerprint_of_file(path: Path, error_class: type[WarpRefineError] = WarpRefineError) -> str:
    """Return a short hash of a file's content; a file that did not change since is not read again.

    Raises:
        WarpRefineError: The file cannot be read; the error is of `error_class`.
    """
    with reading_errors(path, error_class):
        return _content(path, file_state(path))


def fingerprint_of_labels(path: Path) -> str:
    """Return a short hash of the content of a label map.

    Raises:
        LabelError: The file cannot be read.
    """
    return fingerprint_of_file(path, LabelError)


def fingerprint_of_frames(video: Video, frames: Iterable[int]) -> str:
    """Return a short hash of the content of some frames of a video.

    Frames of a video file are those of the whole file: nearly all depend on frames before them. Frames of 16
    bits depend on those by whose range they are stretched.

    Raises:
        FrameError: A file cannot be read.
    """
    if video.container is not None:
        return fingerprint_of(fingerprint_of_file(video.container, FrameError), *frames)
    first = video.frame_paths[0]
    paths = (first, *(video.frame_paths[frame] for frame in frames))
    found = [fingerprint_of_file(path, FrameError) for path in paths]
    sample = range_sample(video.frame_paths) if _is_deep(first, found[0]) else ()
    decisive = [fingerprint_of_file(path, FrameError) for path in sample]
    return fingerprint_of(found[1:], decisive)


@lru_cache(maxsize=1 << 10)
def _is_deep(path: Path, _content: str) -> bool:
    return with_picture(path, is_deep, error_class=FrameError)


@lru_cache(maxsize=1 << 16)
def _content(path: Path, _state: FileState) -> str:
    with at_hand(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]

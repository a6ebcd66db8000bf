"""Remember which videos were checked, so that files that did not change are not opened at every start.

A video is known by the path, size, times and inode of each of its files. The time of the last change of the
inode cannot be set by a program, so that a file that was edited in place, exchanged by renaming or copied
over with its old time of modification is another one. No verdict is kept on files that changed just before
they were checked: the next change could fall into the same tick of the clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.continuity import Continuity
from warprefine.core.errors import RunFolderError
from warprefine.core.video import Video
from warprefine.io.atomic import write_bytes
from warprefine.io.claims import own_json
from warprefine.io.fingerprints import FileState, file_state, fingerprint_of
from warprefine.jobs.cut_guard import continuity_from

_VERSION = 1
"""Of the check: another one finds something else in the same files."""
SETTLED_S = 3.0
"""Age in seconds from which a change is told from the next one: FAT has a tick of two seconds."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the check of a video has found.

    Attributes:
        damaged: Frames that cannot be read.
        broken_truth: Frames whose truth cannot be used.
        continuity: Cuts and the like.
    """

    damaged: tuple[int, ...]
    broken_truth: tuple[int, ...]
    continuity: Continuity


class CheckedVideos:
    """The verdicts on videos whose files did not change since.

    Args:
        folder: Where they are kept, a file for each; damaged ones are written anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(
        self, video: Video, needed: Sequence[int], classes: ClassSet, *, motion: str, cuts: object
    ) -> str | None:
        """Return what a verdict on a video is known by, before its files are opened.

        Args:
            video: The video.
            needed: The frames that are checked.
            classes: The classes of its label maps.
            motion: The name of the motion estimator that has to take its frames.
            cuts: What the search for cuts depends on, besides the frames.

        Returns:
            A hash; None if a file is missing, or changed so lately that a verdict would not be safe.
        """
        frames = video.frame_paths if video.container is None else (video.container,)
        paths = (*frames, *video.labels.values(), *video.truth.values())
        try:
            states = [file_state(path) for path in paths]
        except OSError:
            return None
        if not _are_settled(states):
            return None
        numbers = [*needed], [*video.labels], [*video.truth], len(video)
        files = [(str(path), *vars(state).values()) for path, state in zip(paths, states, strict=True)]
        return fingerprint_of(_VERSION, numbers, classes.coding, motion, cuts, files)

    def get(self, key: str | None) -> Verdict | None:
        """Return a verdict, or None if there is none, or a damaged one."""
        if key is None:
            return None
        path = self._path(key)
        try:
            with own_json(path, remedy="it is written anew"):
                found = json.loads(path.read_text(encoding="utf-8"))
                return Verdict(
                    damaged=_numbers(found["damaged"]),
                    broken_truth=_numbers(found["broken_truth"]),
                    continuity=continuity_from(found["continuity"]),
                )
        except RunFolderError:
            return None

    def put(self, key: str | None, verdict: Verdict) -> None:
        """Keep a verdict, where that is possible; without it the video is checked again."""
        if key is not None:
            with suppress(RunFolderError):
                write_bytes(self._path(key), json.dumps(asdict(verdict)).encode(), durable=False)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _are_settled(states: Iterable[FileState]) -> bool:
    latest = max(max(state.modified_ns, state.changed_ns) for state in states)
    return latest < time.time_ns() - SETTLED_S * 1e9


def _numbers(recorded: object) -> tuple[int, ...]:
    if not isinstance(recorded, list) or not all(type(number) is int for number in recorded):
        raise TypeError(f"frames {recorded}")
    return tuple(recorded)

"""Find cuts while the frames of a run are checked, and record them in the run folder."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from warprefine.core.continuity import Continuity
from warprefine.core.errors import FrameError, RunFolderError
from warprefine.core.tensors import Frames
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.claims import own_json
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_frames
from warprefine.io.run import RunFolder
from warprefine.ops.cuts import find_continuity
from warprefine.ops.thumbnails import thumbnail

_VERSION = 1
"""Of `find_continuity`: another one finds something else in the same frames."""


class CutGuard:
    """Finds cuts and blank frames of videos; what was recorded of the same frames is not computed again.

    Args:
        run: The run folder.
        sensitivity: See `find_continuity`.
    """

    def __init__(self, run: RunFolder, *, sensitivity: float) -> None:
        self._run, self._sensitivity = run, sensitivity
        self._before = _recorded_before(run)
        self._found: dict[str, dict[str, Any]] = {}

    def find(self, video: Video, numbers: Sequence[int], frames: Iterable[tuple[int, Frames]]) -> Continuity:
        """Return what is found in some frames of a video, all of which are read, whatever is recorded.

        Args:
            video: The video.
            numbers: The frames that are looked at.
            frames: Those of them that can be read, by number, ascending.
        """
        content = self._content(video, numbers)
        before = self._before.get(video.name, {})
        if content and before.get("content") == content:
            deque(frames, maxlen=0)
            self._found[video.name] = before
            return _continuity(before)
        thumbnails = ((number, thumbnail(frame)) for number, frame in frames)
        found = find_continuity(thumbnails, sensitivity=self._sensitivity)
        self._found[video.name] = {"content": content, **asdict(found)}
        return found

    def record(self) -> None:
        """Write what was found into the run folder."""
        write_text(_path(self._run), json.dumps(self._found, indent=1) + "\n")

    def _content(self, video: Video, numbers: Sequence[int]) -> str:
        """Return a hash of all that the result depends on; empty if a frame cannot be read."""
        try:
            return fingerprint_of(
                fingerprint_of_frames(video, numbers), [*numbers], self._sensitivity, _VERSION
            )
        except FrameError:
            return ""


def continuity_of(run: RunFolder) -> dict[str, Continuity]:
    """Return the cuts, blank and repeated frames and exposure jumps that a run has found, by video.

    Frames that no key frame could have reached were not looked at.

    Raises:
        RunFolderError: The record is damaged.
    """
    path = _path(run)
    if not path.exists():
        return {}
    with own_json(path, remedy="delete it and run `warprefine autolabel` with the same options again"):
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _continuity(of_video) for name, of_video in found.items()}


def cuts_of(run: Path | str) -> dict[str, tuple[int, ...]]:
    """Return the frames of each video of a run that begin another shot, ascending, by video.

    Raises:
        RunFolderError: The record is damaged.

    Example:
        >>> cuts_of("RUN")  # doctest: +SKIP
        {'drive': (150, 412)}
    """
    found = continuity_of(RunFolder(Path(run), read_only=True))
    return {name: of_video.cuts for name, of_video in found.items()}


def with_continuity(dataset: Dataset, found: Mapping[str, Continuity]) -> Dataset:
    """Return a data set whose videos end their stretches at the cuts and blank frames that were found."""
    videos = (replace(one, continuity=found.get(one.name, one.continuity)) for one in dataset.videos)
    return replace(dataset, videos=tuple(videos))


def _recorded_before(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Return what was recorded; nothing where that is damaged, as it is written anew."""
    path = _path(run)
    try:
        continuity_of(run)
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (RunFolderError, FileNotFoundError):
        return {}
    return found


def _continuity(record: Mapping[str, Any]) -> Continuity:
    found = {one.name: tuple(record[one.name]) for one in fields(Continuity)}
    if not all(type(number) is int for numbers in found.values() for number in numbers):
        raise TypeError(f"frames {found}")
    return Continuity(**found)


def _path(run: RunFolder) -> Path:
    return run.root / "continuity.json"

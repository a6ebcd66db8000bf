"""Find cuts while the frames of a run are checked, and record them in the run folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from warprefine.core.continuity import Continuity
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.claims import own_json
from warprefine.io.run import RunFolder
from warprefine.ops.cuts import find_continuity
from warprefine.ops.thumbnails import Thumbnail

_VERSION = 1
"""Of `find_continuity`: another one finds something else in the same frames."""


class CutGuard:
    """Finds cuts and blank frames of videos, and records them in the run folder.

    Args:
        run: The run folder.
        sensitivity: See `find_continuity`.
    """

    def __init__(self, run: RunFolder, *, sensitivity: float) -> None:
        self._run, self._sensitivity = run, sensitivity
        self._found: dict[str, Continuity] = {}

    @property
    def depends_on(self) -> tuple[float, int]:
        """What is found depends on, besides the frames."""
        return self._sensitivity, _VERSION

    def find(self, thumbnails: Iterable[tuple[int, Thumbnail]]) -> Continuity:
        """Return what is found in some frames of a video, and do not note it: any process can do this.

        Args:
            thumbnails: Thumbnails of those frames that can be read, by number, ascending.
        """
        return find_continuity(thumbnails, sensitivity=self._sensitivity)

    def note(self, video: Video, found: Continuity) -> None:
        """Note what was found in a video, to be recorded."""
        self._found[video.name] = found

    def record(self) -> None:
        """Write what was found into the run folder."""
        content = {name: asdict(of_video) for name, of_video in self._found.items()}
        write_text(_path(self._run), json.dumps(content, indent=1) + "\n")


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
        return {str(name): continuity_from(of_video) for name, of_video in found.items()}


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


def continuity_from(record: Mapping[str, Any]) -> Continuity:
    """Return what was recorded as a table of lists of frames.

    Raises:
        LookupError: A list is missing.
        TypeError: Something else is recorded.
    """
    found = {one.name: tuple(record[one.name]) for one in fields(Continuity)}
    if not all(type(number) is int for numbers in found.values() for number in numbers):
        raise TypeError(f"frames {found}")
    return Continuity(**found)


def _path(run: RunFolder) -> Path:
    return run.root / "continuity.json"

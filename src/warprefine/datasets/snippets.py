"""Cut clips out of recordings in which single frames are labelled: a labelled frame and those around it.

Cityscapes and KITTI name a frame by its recording and its number in it, with leading zeros:
`aachen_000000_000019` follows `aachen_000000_000018`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path
from typing import NamedTuple

from warprefine.core.errors import DatasetError, KeyFrameError, WarpRefineError, shorten
from warprefine.core.video import Video
from warprefine.datasets.files import PICTURE_ENDINGS, visible

REACH = 10
"""Frames that are taken on each side of a labelled one, as in the paper (section 4.1)."""


class FrameName(NamedTuple):
    """A frame's name: recording, frame number, and digits that the number is padded to.

    Example:
        >>> FrameName.parse("aachen_000000_000019").at(20)
        'aachen_000000_000020'
    """

    recording: str
    number: int
    digits: int

    @classmethod
    def parse(cls, name: str) -> FrameName | None:
        """Parse a name RECORDING_NUMBER; None if it has another form."""
        recording, _, number = name.rpartition("_")
        if not recording or not (number.isascii() and number.isdecimal()):
            return None
        return cls(recording, int(number), len(number))

    def at(self, number: int) -> str:
        """Return the name of another frame of the recording."""
        return f"{self.recording}_{number:0{self.digits}d}"


@dataclass(frozen=True, kw_only=True)
class Clips:
    """The clips of a data set, the errors of labelled frames without one, by name, and notes."""

    videos: tuple[Video, ...]
    broken: Mapping[str, WarpRefineError]
    notes: tuple[str, ...]


def pictures_by_name(
    folders: Iterable[Path], *, tail: str = "", endings: Sequence[str] = PICTURE_ENDINGS
) -> dict[str, Path]:
    """List the pictures of some folders in natural order, by their names without `tail` and ending.

    A folder that does not exist holds none. Other files, such as those without the tail, are left out.

    Args:
        tail: Suffix of the stems of all wanted pictures, such as "_leftImg8bit".
        endings: File endings in lower case; those of files are compared without case.

    Raises:
        DatasetError: Two pictures have the same name.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in visible(folder) if folder.is_dir() else []:
            stem = path.stem
            if path.suffix.lower() not in endings or not stem.endswith(tail):
                continue
            name = stem.removesuffix(tail)
            if name in found:
                raise DatasetError(
                    f"two pictures have the name {name}: {found[name]} and {path}; keep one of them"
                )
            found[name] = path
    return found


def cut_clips(
    labels: Mapping[str, Path], pictures: Mapping[str, Path], *, reach: int, expected: str
) -> Clips:
    """Cut a clip around each labelled frame, with up to `reach` frames before it and after it.

    A clip ends before the first missing frame on either side, as motion across a gap is not that of
    consecutive frames. The video has the name of its labelled frame, which is its key frame.

    Args:
        labels: Label maps by the names of their frames.
        pictures: Pictures by name, of labelled frames and of their neighbours.
        expected: Where the picture of a labelled frame should be, for messages.

    Raises:
        KeyFrameError: No label map has a picture.
    """
    videos: list[Video] = []
    broken: dict[str, WarpRefineError] = {}
    short: list[str] = []
    for name, path in labels.items():
        try:
            frame = _labelled_frame(name, path, pictures, expected=expected)
        except KeyFrameError as error:
            broken[name] = error
            continue
        wanted = range(max(frame.number - reach, 0), frame.number + reach + 1)
        numbers = _consecutive(frame, wanted, pictures)
        videos.append(_clip(frame, numbers, pictures, labels=path))
        if len(numbers) < len(wanted):
            spans = f"{numbers[0]}..{numbers[-1]} of {wanted[0]}..{wanted[-1]}"
            short.append(f"{name} (frames {spans})")
    if broken and not videos:
        raise next(iter(broken.values()))
    notes = (f"{len(short)} of {len(videos)} snippets lack neighbours: {shorten(short)}",) if short else ()
    return Clips(videos=tuple(videos), broken=broken, notes=notes)


def note_unlabelled(
    pictures: Iterable[str], labels: Iterable[str], *, before: int = 0, after: int = 0
) -> tuple[str, ...]:
    """Return a note on runs of consecutive frames outside all labelled snippets; empty if there are none.

    Args:
        before: Frames of a snippet that lie before its labelled one.
        after: Frames of a snippet that lie after its labelled one.
    """
    parsed = [frame for frame in map(FrameName.parse, labels) if frame is not None]
    claimed = {
        frame.at(number)
        for frame in parsed
        for number in range(frame.number - before, frame.number + after + 1)
    }
    left_out = (frame for name in pictures if name not in claimed and (frame := FrameName.parse(name)))
    # Consecutive numbers differ from their place in the list by the same amount.
    runs = groupby(
        enumerate(sorted(left_out)), key=lambda entry: (entry[1].recording, entry[1].number - entry[0])
    )
    names = [_run_name([frame for _, frame in run]) for _, run in runs]
    return (f"snippets without a label map are left out, {len(names)}: {shorten(names)}",) if names else ()


def _labelled_frame(name: str, path: Path, pictures: Mapping[str, Path], *, expected: str) -> FrameName:
    frame = FrameName.parse(name)
    if frame is None:
        raise KeyFrameError(
            f"label map {path} names no frame: found {name!r}, expected a recording and a number, "
            f"such as aachen_000000_000019; name it as its frame"
        )
    if name not in pictures:
        raise KeyFrameError(f"label map {path} has no picture: expected {name} in {expected}; copy it there")
    return frame


def _consecutive(frame: FrameName, wanted: range, pictures: Mapping[str, Path]) -> range:
    """Return the longest range of wanted numbers around a frame without a missing picture."""

    def present(number: int) -> bool:
        return frame.at(number) in pictures

    before = _count_while(present, range(frame.number - 1, wanted[0] - 1, -1))
    after = _count_while(present, range(frame.number + 1, wanted[-1] + 1))
    return range(frame.number - before, frame.number + after + 1)


def _count_while(condition: Callable[[int], bool], numbers: Iterable[int]) -> int:
    return sum(1 for _ in takewhile(condition, numbers))


def _clip(frame: FrameName, numbers: range, pictures: Mapping[str, Path], *, labels: Path) -> Video:
    stems = tuple(frame.at(number) for number in numbers)
    return Video(
        name=frame.at(frame.number),
        stems=stems,
        frame_paths=tuple(pictures[stem] for stem in stems),
        labels={numbers.index(frame.number): labels},
    )


def _run_name(run: Sequence[FrameName]) -> str:
    first, last = run[0], run[-1]
    return first.at(first.number) + (f"..{last.number:0{last.digits}d}" if len(run) > 1 else "")

"""Describe a video on disk: where its frames are, which are labelled by hand, what is held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from warprefine.core.classes import ClassSet
from warprefine.core.continuity import Continuity
from warprefine.core.errors import KeyFrameError, WarpRefineError


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video on disk; nothing is opened.

    Args:
        name: Its name, unique in the data set; also the name of its folder in a run.
        stems: One name per frame, in order: file names without ending, or six-digit decode indices.
        frame_paths: One image per frame; empty when `container` holds the frames.
        container: A video file, whose decode index is the frame number.
        labels: Frame number -> label map of a key frame.
        truth: Frame number -> label map that only the evaluation may read.
        damaged: Frames that cannot be read. They get no labels, and motion is not followed across them.
        uncorrected: The video as its data set has it, where label maps were corrected in a run.
        continuity: Its cuts and blank frames: motion is not followed across them. Blank frames get no labels.

    Example:
        >>> from pathlib import Path
        >>> labels = {number: Path(f"{number}.png") for number in range(4)}
        >>> video = Video(name="drive", stems="0123", container=Path("drive.mp4"), labels=labels)
        >>> video.with_key_frames(start=0, step=3).key_frames
        (0, 3)
    """

    name: str
    stems: Sequence[str]
    frame_paths: Sequence[Path] = ()
    container: Path | None = None
    labels: Mapping[int, Path] = field(default_factory=dict)
    truth: Mapping[int, Path] = field(default_factory=dict)
    damaged: frozenset[int] = frozenset()
    uncorrected: Video | None = None
    continuity: Continuity = field(default_factory=Continuity)

    def __post_init__(self) -> None:
        if (self.container is None) == (not self.frame_paths):
            raise ValueError(f"video {self.name!r} needs either frame_paths or a container")
        object.__setattr__(self, "labels", MappingProxyType(dict(sorted(self.labels.items()))))
        object.__setattr__(self, "truth", MappingProxyType(dict(sorted(self.truth.items()))))

    def __reduce__(self) -> tuple[Callable[[], Video], tuple[()]]:
        """Pickle the fields, with ordinary mappings in place of those that cannot be altered."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return partial(Video, **{**values, "labels": dict(self.labels), "truth": dict(self.truth)}), ()

    def __len__(self) -> int:
        return len(self.stems)

    @property
    def key_frames(self) -> tuple[int, ...]:
        """The numbers of the frames labelled by hand, ascending."""
        return tuple(self.labels)

    @property
    def of_data(self) -> Video:
        """The video as its data set has it, without corrections."""
        return self.uncorrected or self

    @property
    def corrected(self) -> tuple[int, ...]:
        """The numbers of the key frames whose label maps are corrections, ascending."""
        own = self.of_data.labels
        return tuple(frame for frame, path in self.labels.items() if own.get(frame) != path)

    def with_corrections(self, corrections: Mapping[int, Path]) -> Video:
        """Take corrected label maps for those of key frames; a truth of the same frames is left out.

        Args:
            corrections: Frame number -> label map; those that were taken before are left out.

        Example:
            >>> paths = [Path(f"{k}.jpg") for k in range(4)]
            >>> labels, truth = {0: Path("0.png")}, {2: Path("2.png")}
            >>> video = Video(name="drive", stems="0123", frame_paths=paths, labels=labels, truth=truth)
            >>> video = video.with_corrections({2: Path("corrected.png")})
            >>> video.key_frames, video.corrected, len(video.truth), video.of_data.key_frames
            ((0, 2), (2,), 0, (0,))
        """
        own = replace(self.of_data, damaged=self.damaged, continuity=self.continuity)
        if not corrections:
            return own
        truth = {frame: path for frame, path in own.truth.items() if frame not in corrections}
        return replace(own, labels={**own.labels, **corrections}, truth=truth, uncorrected=own)

    @cached_property
    def stretches(self) -> tuple[range, ...]:
        """The runs of frames through which motion can be followed, in order.

        There is one, unless frames are damaged or blank, or there are cuts.

        Example:
            >>> paths = [Path(f"{k}.jpg") for k in range(6)]
            >>> Video(name="drive", stems="012345", frame_paths=paths, damaged=frozenset({2})).stretches
            (range(0, 2), range(3, 6))
        """
        gaps = self.damaged.union(self.continuity.blank)
        ends = sorted({0, len(self), *gaps, *(gap + 1 for gap in gaps), *self.continuity.cuts})
        return tuple(range(a, b) for a, b in pairwise(ends) if a not in gaps)

    def stretch(self, frame: int) -> range:
        """Return the stretch that a frame lies in; an empty one for a damaged or blank frame."""
        return next((stretch for stretch in self.stretches if frame in stretch), range(frame, frame))

    def with_key_frames(self, start: int, step: int) -> Video:
        """Keep the labels of frames start, start + step, ... as key frames; hold the rest back as truth.

        Raises:
            KeyFrameError: No labelled frame is among them.
        """
        labelled = {**self.truth, **self.labels}
        wanted = range(start, len(self), step)
        labels = {k: labelled[k] for k in wanted if k in labelled}
        if not labels:
            raise KeyFrameError(
                f"video {self.name!r}: none of the frames {start}::{step} of its {len(self)} is labelled; "
                f"choose a start below {len(self)} at which a label map exists"
            )
        return replace(self, labels=labels, truth={k: v for k, v in labelled.items() if k not in labels})


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set on disk: its classes and its videos (a single labelled image is a video of one frame)."""

    root: Path
    classes: ClassSet
    videos: tuple[Video, ...]
    broken: Mapping[str, WarpRefineError] = field(default_factory=dict)  # by name, videos left out, and why
    origin: Mapping[str, str | None] = field(default_factory=dict)  # how to open it again, see `open_dataset`
    notes: tuple[str, ...] = ()  # remarks on what its folder lacks, a line each, for people

    def __post_init__(self) -> None:
        names = [video.name for video in self.videos]
        if len(set(names)) != len(names):
            raise ValueError(f"video names occur twice in {self.root}: {names}")

    def with_key_frames(self, start: int, step: int) -> Dataset:
        """Apply `Video.with_key_frames` to every video; those without one label map stay without."""
        videos = (v.with_key_frames(start, step) if v.labels or v.truth else v for v in self.videos)
        return replace(self, videos=tuple(videos))

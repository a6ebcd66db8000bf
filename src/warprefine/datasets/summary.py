"""Summarise a data set, and check its files before a job starts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, LabelError, WarpRefineError, shorten
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset, Video
from warprefine.datasets.edge_fit import find_misfit, misfit_notes
from warprefine.datasets.file_names import readable
from warprefine.datasets.label_notes import SAMPLE, LabelCount, count_labels, label_notes, spread
from warprefine.io.frames import frame_size, frame_turn, open_frames
from warprefine.io.images import read_labels
from warprefine.io.turning import UPRIGHT
from warprefine.ops.cuts import find_continuity
from warprefine.ops.thumbnails import Thumbnail, thumbnail

MOST_FITTED = 50
"""Videos whose label maps are compared with the frames around them."""


@dataclass(frozen=True, kw_only=True)
class VideoSummary:
    """Frame counts of one video, and the (h, w) of frame 0; `None` if it cannot be read.

    `farthest` is the largest distance of a frame from its nearest key frame, in frames; `None` without one.
    """

    name: str
    frames: int
    key_frames: int
    truth_frames: int
    farthest: int | None
    size: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """Videos, class frequencies and problems of a data set.

    `pixels` counts the pixels of each class in `counted` label maps of key frames, and of VOID last.
    `problems` has one line for each file that cannot be used, `notes` one for what else is missing or odd.
    """

    classes: ClassSet
    videos: tuple[VideoSummary, ...]
    pixels: tuple[int, ...]
    counted: int
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def frequencies(self) -> tuple[float, ...]:
        """The share of each class in the labelled pixels, and of VOID last; zeros if there are none."""
        total = sum(self.pixels) or 1
        return tuple(count / total for count in self.pixels)


def summarise(dataset: Dataset, *, check: bool = False, progress: Progress = silent) -> DatasetSummary:
    """Count the frames of every video and the pixels of every class.

    Reads the label maps of at most `SAMPLE` key frames, spread evenly over the data set, and only the
    headers of other files.

    Args:
        check: Read every frame and every label map, collect errors instead of raising, find cuts, and compare
            edges of label maps with the frames around them. Without it, `problems` has only the videos that
            the reader left out.

    Raises:
        FrameError: Frame 0 of a video cannot be read; only without `check`.
        LabelError: A label map does not fit its frame or the class set; only without `check`.
    """
    problems: list[str] | None = [] if check else None
    keys: list[LabelCount] = []
    truth: list[LabelCount] = []
    seen: list[str] = []
    chosen = _chosen(dataset, most=None if check else SAMPLE)
    videos = []
    for video in dataset.videos:
        size = None
        with _collected(problems):
            size = frame_size(video, 0)
        for number in chosen[video.name]:
            with _collected(problems):
                keys.append(count_labels(video, number, video.labels[number], dataset.classes))
        if problems is not None:
            for number, path in video.truth.items():
                with _collected(problems):
                    truth.append(count_labels(video, number, path, dataset.classes))
            seen += _check_frames(video, problems)
        videos.append(_summary(video, size))
        progress("Inspecting videos", len(videos), len(dataset.videos))
    pixels = [sum(of_class) for of_class in zip(*(count.pixels for count in keys), strict=True)]
    compared = spread(dataset.videos, most=MOST_FITTED) if check else ()
    misfits = [misfit for video in compared if (misfit := find_misfit(video, dataset.classes))]
    return DatasetSummary(
        classes=dataset.classes,
        videos=tuple(videos),
        pixels=tuple(pixels or [0] * (len(dataset.classes) + 1)),
        counted=len(keys),
        problems=tuple(dict.fromkeys([*map(str, dataset.broken.values()), *(problems or ())])),
        notes=(
            *dataset.notes,
            *_turn_notes(dataset.videos),
            *seen,
            *label_notes(dataset, keys, truth),
            *misfit_notes(misfits),
        ),
    )


def _turn_notes(videos: Sequence[Video]) -> Iterator[str]:
    """Note videos that are stored turned or mirrored: label maps have to be drawn on the upright frames."""
    turned = []
    for video in videos:
        with suppress(FrameError):
            turn = frame_turn(video, 0)
            turned += [f"{readable(video.name)} ({turn})"] if turn != UPRIGHT else []
    if turned:
        yield (
            f"stored turned, and read upright as players show them: {shorten(turned)}; label maps must fit "
            "the upright frames"
        )


def check_video(video: Video, classes: ClassSet) -> dict[int, WarpRefineError]:
    """Check that every label map has the size of its frame and holds only ids of the class set.

    Reads the label maps of key frames and truth, and only the headers of their frames.

    Returns:
        What is wrong with truth, by frame: it costs only its own score.

    Raises:
        LabelError: A key frame's label map is damaged, or does not fit its frame or the class set.
        FrameError: A key frame or the video file cannot be read.
    """

    def problem_of(labelled: tuple[int, Path]) -> FrameError | LabelError | None:
        number, path = labelled
        try:
            read_labels(path, classes, size=frame_size(video, number))
        except (FrameError, LabelError) as error:
            return error
        return None

    threads = thread_count()
    for problem in map_in_order(problem_of, video.labels.items(), threads=threads):
        if problem is not None:
            raise problem
    problems = map_in_order(problem_of, video.truth.items(), threads=threads)
    found = zip(video.truth, problems, strict=True)
    return {number: problem for number, problem in found if problem is not None}


def _chosen(dataset: Dataset, *, most: int | None) -> dict[str, list[int]]:
    """Choose key frames at equal distances, at most `most`: frame numbers of each video, by name."""
    chosen: dict[str, list[int]] = {video.name: [] for video in dataset.videos}
    labelled = [(video.name, number) for video in dataset.videos for number in video.labels]
    for name, number in spread(labelled, most=most):
        chosen[name].append(number)
    return chosen


def _summary(video: Video, size: tuple[int, int] | None) -> VideoSummary:
    return VideoSummary(
        name=video.name,
        frames=len(video),
        key_frames=len(video.labels),
        truth_frames=len(video.truth),
        farthest=_farthest(video),
        size=size,
    )


@contextmanager
def _collected(problems: list[str] | None) -> Iterator[None]:
    """Append errors of the block to `problems`; raise them if it is None."""
    try:
        yield
    except WarpRefineError as error:
        if problems is None:
            raise
        problems.append(str(error))


def _farthest(video: Video) -> int | None:
    keys = video.key_frames
    if not keys:
        return None
    between = ((later - earlier) // 2 for earlier, later in pairwise(keys))
    return max(keys[0], len(video) - 1 - keys[-1], *between)


def _check_frames(video: Video, problems: list[str]) -> Iterator[str]:
    """Decode all frames; yield notes on frames of one colour, on cuts, or that all show the same picture."""
    flat, pictures = [], set()
    thumbnails: list[tuple[int, Thumbnail]] = []  # 3 kB each
    with _collected(problems), open_frames(video) as source:
        for number in range(len(source)):
            # A damaged video file is one problem, damaged pictures are one each.
            with nullcontext() if video.container else _collected(problems):
                frame = source[number]
                if bool((frame == frame[..., :1, :1]).all()):
                    flat.append(video.stems[number])
                thumbnails.append((number, thumbnail(frame)))
                pictures.add(hashlib.sha256(frame.numpy().tobytes()).digest())
    name = readable(video.name)
    if flat:
        yield (
            f"{len(flat)} of {len(video)} frames of {name} show one colour and nothing else: "
            f"{shorten(flat)}; look at them: they may be black, or written in a form that loses the picture"
        )
    elif len(video) > 1 and len(pictures) == 1:
        yield f"all {len(video)} frames of {name} show the same picture; check how they were extracted"
        return
    yield from replace(find_continuity(thumbnails), blank=()).notes(name)

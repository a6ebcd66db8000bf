"""Notes on label maps that can be read but may not mean what they should: void ones, classes never shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from warprefine.core.classes import ClassSet, Color
from warprefine.core.errors import WarpRefineError, shorten
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import frame_size
from warprefine.io.images import read_frame, read_ids, read_labels

T = TypeVar("T")

SAMPLE = 200
"""Number of label maps that suffice to estimate how often each class occurs."""

_MOSTLY = 0.5
"""Share of VOID from which on a label map is mostly void."""

_OPENED = 20
"""Label maps whose numbers are looked at to explain what was found."""


@dataclass(frozen=True, kw_only=True)
class LabelCount:
    """The pixels of each class in the label map of a frame, and of VOID last."""

    path: Path
    pixels: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no pixel has a class."""
        return not any(self.pixels[:-1])

    @property
    def void(self) -> float:
        """The share of VOID."""
        return self.pixels[-1] / sum(self.pixels)


@dataclass(frozen=True, kw_only=True)
class LabelReview:
    """What the label maps of a data set show.

    Attributes:
        notes: What they may not be meant to show, a line each, with the cure.
        score_notes: Those of the notes that are about scores: what no truth shows.
        empty: Label maps of key frames without one labelled pixel, by video and frame.
    """

    notes: tuple[str, ...] = ()
    score_notes: tuple[str, ...] = ()
    empty: Mapping[str, Mapping[int, Path]]


def count_labels(video: Video, number: int, path: Path, classes: ClassSet) -> LabelCount:
    """Count the pixels of each class in the label map of a frame.

    Raises:
        LabelError: It cannot be read, or does not fit its frame or the class set.
        FrameError: The frame cannot be read.
    """
    labels = read_labels(path, classes, size=frame_size(video, number))
    pixels = torch.bincount(labels.flatten(), minlength=VOID + 1)
    return LabelCount(path=path, pixels=(*pixels[: len(classes)].tolist(), int(pixels[VOID])))


def review_labels(dataset: Dataset) -> LabelReview:
    """Read the label maps of all key frames and of up to `SAMPLE` frames with truth, and note what is odd.

    Label maps that cannot be read are passed over: `sound_videos` and `summarise` report them.
    """
    keys = [(video, number, path) for video in dataset.videos for number, path in video.labels.items()]
    truth = spread(
        [(v, number, path) for v in dataset.videos for number, path in v.truth.items()], most=SAMPLE
    )
    count = partial(_counted, dataset.classes)
    of_keys, of_truth = (list(map_in_order(count, maps, threads=thread_count())) for maps in (keys, truth))
    empty: dict[str, dict[int, Path]] = {}
    for (video, number, path), found in zip(keys, of_keys, strict=True):
        if found is not None and found.is_empty:
            empty.setdefault(video.name, {})[number] = path
    counts, truth_counts = ([found for found in of_maps if found] for of_maps in (of_keys, of_truth))
    return LabelReview(
        notes=label_notes(dataset, counts, truth_counts),
        score_notes=tuple(_truth_notes(dataset.classes, counts, truth_counts)),
        empty=empty,
    )


def label_notes(
    dataset: Dataset, keys: Sequence[LabelCount], truth: Sequence[LabelCount] = ()
) -> tuple[str, ...]:
    """Return notes on videos without key frames, on void label maps and on classes that never occur.

    Args:
        dataset: The data set; its pictures are not opened, but a few of the label maps are.
        keys: Counts of label maps of key frames.
        truth: Counts of label maps that only the evaluation reads.
    """
    notes = [*_without_key_frames(dataset), *_void_notes(keys)]
    absent = _absent(dataset.classes, keys)
    if keys and absent:
        notes.append(
            f"no key frame shows {shorten(absent)} ({len(absent)} of {len(dataset.classes)} classes, in "
            f"{len(keys)} label maps): what is never shown is never labelled; check the numbers in the label "
            "maps, or label a frame that shows it"
        )
    notes += [
        *_number_notes(dataset, keys, absent=absent),
        *_palette_notes(dataset.classes, [count.path for count in keys]),
        *_truth_notes(dataset.classes, keys, truth),
    ]
    return tuple(notes)


def spread(items: Sequence[T], *, most: int | None) -> list[T]:
    """Choose items at equal distances, at most `most`; None takes all.

    Example:
        >>> spread(range(10), most=3)
        [0, 3, 6]
    """
    count = len(items) if most is None else min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _counted(classes: ClassSet, of_frame: tuple[Video, int, Path]) -> LabelCount | None:
    video, number, path = of_frame
    try:
        return count_labels(video, number, path, classes)
    except WarpRefineError:
        return None


def _without_key_frames(dataset: Dataset) -> Iterable[str]:
    names = [video.name for video in dataset.videos if not video.labels]
    if names:
        yield (
            f"{len(names)} of {len(dataset.videos)} videos have no key frame and are not labelled: "
            f"{shorten(names)}; a label map has the name of its frame (native folder: videos/NAME/labels)"
        )


def _void_notes(keys: Sequence[LabelCount]) -> Iterable[str]:
    empty = [count.path for count in keys if count.is_empty]
    if empty:
        yield (
            f"{len(empty)} of {len(keys)} label maps of key frames hold no labelled pixel and make no key "
            f"frame: {shorten(empty)}; draw their labels, or delete them"
        )
    mostly = [count for count in keys if not count.is_empty and count.void > _MOSTLY]
    if mostly:
        listed = shorten(f"{count.path} ({100 * count.void:.0f} %)" for count in mostly)
        yield (
            f"{len(mostly)} of {len(keys)} label maps of key frames are mostly void: {listed}; check that "
            "their numbers are those of the classes"
        )


def _absent(classes: ClassSet, counts: Sequence[LabelCount]) -> list[str]:
    return [name for c, name in enumerate(classes.names) if not any(count.pixels[c] for count in counts)]


def _number_notes(dataset: Dataset, keys: Sequence[LabelCount], *, absent: Sequence[str]) -> Iterable[str]:
    """Explain by the numbers in the files why classes do not occur."""
    classes = dataset.classes
    odd = [count.path for count in keys if absent or count.void > _MOSTLY or len(classes) == 1]
    numbers = _numbers(spread(odd, most=_OPENED))
    own = (dataset.root / "classes.toml").is_file()
    if not numbers:
        return
    seen = f"the label maps hold only {shorten(sorted(numbers), most=20)}"
    beyond = [number for number in classes.ids if number >= len(classes)]
    if len(numbers) > 1 and _are_positions(numbers, classes) and 2 * len(beyond) >= len(classes):
        void = sum(count for number, count in numbers.items() if _is_void(number, classes))
        yield (
            f"{seen}: that is how train ids count the classes, from 0 to {len(classes) - 1}, but these are "
            f"read as ids, such as {shorten(beyond, most=3)}, and {100 * void / numbers.total():.0f} % of "
            "the pixels are void; use the label maps that hold ids (of Cityscapes: labelIds as downloaded)"
        )
    elif own and {*numbers} == {0, VOID} and VOID not in _named(classes):
        yield (
            f"{seen}, as masks do: 0 is {classes.names[0]!r} and 255 is void, so that nothing is learned of "
            f"it; if 255 is a class, write {_cure_of_masks(classes)} into classes.toml"
        )
    elif own and not classes.file_ids and min(numbers) == 1 and absent:
        yield (
            f"{seen}: if they count the classes from 1, write id = 1 to {len(classes)} into the [[class]] "
            f"tables of classes.toml; now 1 is {classes.names[min(1, len(classes) - 1)]!r}"
        )


def _numbers(paths: Sequence[Path]) -> Counter[int]:
    """Count the numbers that label files hold, as they are."""
    found: Counter[int] = Counter()
    for path in paths:
        try:
            numbers, counts = np.unique(read_ids(path), return_counts=True)
        except WarpRefineError:
            continue
        found.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    return found


def _palette_notes(classes: ClassSet, paths: Sequence[Path]) -> Iterable[str]:
    """Note numbers that have the colour of another class in the palettes of label files."""
    by_color = {color: name for name, color in zip(classes.names, classes.colors, strict=True)}
    found: dict[int, tuple[str, str]] = {}
    for path in spread(paths, most=_OPENED):
        for number, color in _colors_of_numbers(path).items():
            own = [c for c, file_ids in enumerate(classes.all_ids) if number in file_ids]
            name = classes.names[own[0]] if own else "void"
            if by_color.get(color, name) != name and color not in (classes.colors[c] for c in own):
                found[number] = (name, by_color[color])
    if found:
        listed = shorten(
            f"{n} is {name!r}, but has the colour of {other!r}" for n, (name, other) in found.items()
        )
        yield (
            f"palettes of label maps name other classes than classes.toml: {listed}; check the numbers and "
            "colours there"
        )


def _colors_of_numbers(path: Path) -> dict[int, Color]:
    """Return the colour of each number that a label file holds; none if all are grey, without a palette."""
    try:
        ids, picture = read_ids(path), read_frame(path)[0].permute(1, 2, 0).numpy()
    except WarpRefineError:
        return {}
    if picture.shape[:2] != ids.shape:
        return {}  # turned by EXIF data
    numbers, places = np.unique(ids, return_index=True)
    colors = picture.reshape(-1, 3)[places].tolist()
    if all(red == green == blue for red, green, blue in colors):
        return {}
    return {int(n): (red, green, blue) for n, (red, green, blue) in zip(numbers, colors, strict=True)}


def _named(classes: ClassSet) -> set[int]:
    """Return the numbers that the class set names, for classes or for VOID."""
    return {number for file_ids in classes.all_ids for number in file_ids} | {*classes.void_ids}


def _is_void(number: int, classes: ClassSet) -> bool:
    return not any(number in file_ids for file_ids in classes.all_ids)


def _are_positions(numbers: Iterable[int], classes: ClassSet) -> bool:
    return all(number < len(classes) or number == VOID for number in numbers)


def _cure_of_masks(classes: ClassSet) -> str:
    if len(classes) == 1:
        return f"id = 255 for {classes.names[0]!r} and, above it, void_ids = [0]"
    if len(classes) == 2:
        first, second = classes.names
        return f"id = 0 for {first!r}, id = 255 for {second!r} and, above them, void_ids = [254]"
    return "an id for every class, 255 for this one, and, above them, void_ids = [254]"


def _truth_notes(classes: ClassSet, keys: Sequence[LabelCount], truth: Sequence[LabelCount]) -> Iterable[str]:
    """Note classes that no score covers, because no truth shows them."""
    if not truth:
        return
    pixels = [sum(of_class) for of_class in zip(*(count.pixels for count in truth), strict=True)]
    shown = {*classes.names} - {*_absent(classes, keys)}
    void = pixels[-1] / sum(pixels)
    # Where truth has no void, a class that key frames do not show either is simply not in the videos.
    hidden = [name for name in _absent(classes, truth) if void or name in shown]
    if hidden:
        yield (
            f"no truth shows {shorten(hidden)}, and {100 * void:.1f} % of it is void: the scores leave out "
            "these classes, and void pixels"
        )

"""Open a data set by root, reader, split and key frames, as a command line or a run folder names them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from reprlib import repr as short_repr

from warprefine.core.errors import DatasetError, KeyFrameError, WarpRefineError
from warprefine.core.names import look_up
from warprefine.core.video import Dataset
from warprefine.datasets.file_names import readable
from warprefine.datasets.readers import READERS
from warprefine.io.mirror import open_data
from warprefine.io.places import address_of

_NUMBER = r"(?:[0-9]{1,9})"
"""No video has a thousand million frames; Python refuses to read a number of thousands of digits."""


def open_dataset(
    root: Path | str, *, reader: str = "folder", split: str = "train", key_frames: str | None = None
) -> Dataset:
    """Open a data set: list its videos, key frames and classes; no picture is opened.

    Args:
        root: Folder of the data set, or its URL on a storage, such as s3://BUCKET/FOLDER.
        reader: Layout of the data set, a name in `READERS`; "folder" is the native one.
        split: Part of the data set, where its layout has parts; "train[::12]" takes every twelfth video of
            the part, in the order of the reader.
        key_frames: START::STEP, the labelled frames to use as key frames; the others become truth, which
            only the evaluation reads. All labelled frames are key frames if not given.

    Raises:
        DatasetError: The layout is not what the reader expects, or a slice of the split leaves nothing.
        KeyFrameError: `key_frames` is not START::STEP or names no labelled frame.
        StorageError: The storage cannot be reached.

    Example:
        >>> from warprefine.datasets import READERS, open_dataset
        >>> sorted(READERS)[:4]
        ['apolloscape', 'camvid', 'camvid32', 'cityscapes']
        >>> dataset = open_dataset("data/drives", key_frames="10::21")  # doctest: +SKIP
        >>> [(video.name, len(video), sorted(video.labels)) for video in dataset.videos]  # doctest: +SKIP
        [('street-000', 63, [10, 31, 52])]
    """
    root, split = open_data(root), _absolute(split)
    part, chosen = parse_split(split)
    read = look_up(READERS, reader, what="reader")
    if reader == "folder":
        _check_layout(root)
    dataset = read(root, part)
    if chosen is not None:
        dataset = replace(dataset, videos=dataset.videos[chosen])
    if key_frames is not None:
        dataset = dataset.with_key_frames(*parse_key_frames(key_frames))
    dataset = _without_odd_names(dataset)
    if not dataset.videos:
        raise DatasetError(f"{root} holds no video of split {split!r}; see `warprefine inspect --help`")
    origin = {"root": address_of(root), "reader": reader, "split": split, "key_frames": key_frames}
    return replace(dataset, origin=origin)


def _check_layout(root: Path) -> None:
    """Raise if a folder has nothing of a data set folder, with what that is and how to choose another layout.

    Raises:
        DatasetError: It has neither classes.toml nor videos.
    """
    if not root.is_dir() or (root / "classes.toml").exists():
        return  # the reader says what is missing
    if (root / "videos").exists():
        raise DatasetError(
            f"{root} has videos, but no classes.toml; expected one that lists the classes, a [[class]] table "
            f"with name and color for each; `warprefine classes {root}` proposes one from the label maps"
        )
    others = ", ".join(sorted(READERS.keys() - {"folder"}))
    raise DatasetError(
        f"{root} is no data set folder; expected classes.toml, videos/NAME/frames/STEM.jpg (or "
        "videos/NAME.mp4) and, of key frames, videos/NAME/labels/STEM.png; choose the layout of a published "
        f"data set with --reader (reader=): {others}; open what an annotation tool has exported with "
        "--format, or convert it with `warprefine import`"
    )


def _without_odd_names(dataset: Dataset) -> Dataset:
    """Move videos whose name is not UTF-8 to the broken ones: no record of a run could hold their name."""
    odd = {video.name: readable(video.name) for video in dataset.videos}
    odd = {name: shown for name, shown in odd.items() if name != shown}
    broken: dict[str, WarpRefineError] = {
        shown: DatasetError(f"the name of video {shown} in {dataset.root} is not UTF-8; rename it")
        for shown in odd.values()
    }
    videos = tuple(video for video in dataset.videos if video.name not in odd)
    if broken and not videos:
        raise next(iter(broken.values()))
    return replace(dataset, videos=videos, broken={**dataset.broken, **broken}) if odd else dataset


def _absolute(split: str) -> str:
    """Make the path of a split's file ("val@split.json") absolute."""
    part, at, file = split.partition("@")
    name, bracket, chosen = file.partition("[")
    return f"{part}@{Path(name).resolve()}{bracket}{chosen}" if at else split


def parse_split(text: str) -> tuple[str, slice | None]:
    """Return the name of a split and the slice of its videos; None takes all.

    Raises:
        DatasetError: The brackets hold no slice.

    Example:
        >>> parse_split("train[5:20:2]")
        ('train', slice(5, 20, 2))
    """
    match = re.fullmatch(r"(.*?)\[(.*)\]", text)
    if match is None:
        return text, None
    numbers = re.fullmatch(rf"((?:-?{_NUMBER})?):((?:-?{_NUMBER})?)(?::({_NUMBER}?))?", match[2])
    if numbers is None or not (numbers[3] or "1").strip("0"):
        raise DatasetError(
            f"split {short_repr(text)} ends in no slice START:STOP:STEP with a step of at least 1; "
            f"expected for example {match[1][:40]}[:20] or {match[1][:40]}[::12]"
        )
    return match[1], slice(*(int(number) if number else None for number in numbers.groups()))


def parse_key_frames(text: str) -> tuple[int, int]:
    """Return start and step of START::STEP.

    Raises:
        KeyFrameError: `text` is not of that form.

    Example:
        >>> parse_key_frames("10::21")
        (10, 21)
    """
    match = re.fullmatch(rf"({_NUMBER})::({_NUMBER})", text.strip())
    if match is None or int(match[2]) == 0:
        raise KeyFrameError(
            f"key frames {short_repr(text)} are not START::STEP with a step of at least 1; "
            "expected for example 10::21"
        )
    return int(match[1]), int(match[2])

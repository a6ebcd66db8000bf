"""Open a data set by the words that a command line or a run folder uses for it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.names import look_up
from warprefine.core.video import Dataset
from warprefine.datasets.readers import READERS


def open_dataset(
    root: Path | str, *, reader: str = "folder", split: str = "train", key_frames: str | None = None
) -> Dataset:
    """Read the layout of a data set; no picture is opened.

    Args:
        reader: A name in `READERS`.
        split: Part of the data set, where its layout has parts.
        key_frames: START::STEP: use these labelled frames as key frames, hold the others back as truth.

    Raises:
        DatasetError: The layout is not what the reader expects.
        KeyFrameError: `key_frames` is not START::STEP or names no labelled frame.
    """
    root = Path(root)
    dataset = look_up(READERS, reader, what="reader")(root, split)
    if key_frames is not None:
        dataset = dataset.with_key_frames(*parse_key_frames(key_frames))
    if not dataset.videos:
        raise DatasetError(f"{root} holds no video of split {split!r}; see `warprefine inspect --help`")
    origin = {"root": str(root.resolve()), "reader": reader, "split": split, "key_frames": key_frames}
    return replace(dataset, origin=origin)


def parse_key_frames(text: str) -> tuple[int, int]:
    """Return start and step of START::STEP.

    Raises:
        KeyFrameError: `text` is not of that form.
    """
    match = re.fullmatch(r"(\d+)::(\d+)", text.strip())
    if match is None or int(match[2]) == 0:
        raise KeyFrameError(
            f"key frames {text!r} are not START::STEP with a step of at least 1; expected for example 10::21"
        )
    return int(match[1]), int(match[2])

"""Read NYU-Depth V2 with 40 classes, after `warprefine convert nyuv2` has converted its MATLAB files.

Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support Inference from RGBD Images (ECCV
2012); 40 classes as in Gupta, Arbeláez and Malik (CVPR 2013).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from warprefine.core.classes import ClassSet, Color
from warprefine.core.video import Dataset
from warprefine.datasets.converted import read_converted


def _voc_color(number: int) -> Color:
    """Return PASCAL VOC's colour of a class: the bits of its number, interleaved over red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    red, green, blue = channels
    return red, green, blue


NYUV2_CLASSES = ClassSet(
    names=(
        "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
        "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
        "floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel",
        "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
        "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
    ),
    colors=tuple(_voc_color(number) for number in range(1, 41)),
)  # fmt: skip

SPLITS = ("train", "test")


def read_nyuv2(root: Path, split: str) -> Dataset:
    """Read "train", clips around one labelled frame each, or "test", single labelled frames.

    Raises:
        DatasetError: The split does not exist, or its conversion is missing or incomplete.
    """
    dataset = read_converted(root, split, name="nyuv2", splits=SPLITS)
    single = sum(len(video) == 1 for video in dataset.videos)
    if split == "test" or not single:
        return dataset
    note = (
        f"{single} of {len(dataset.videos)} clips are the labelled frame alone: no raw frames lay beside it "
        f"when they were converted"
    )
    return replace(dataset, notes=(*dataset.notes, note))

"""Read Mapillary Vistas, single labelled street scenes for pre-training a segmenter.

Neuhold et al., The Mapillary Vistas Dataset for Semantic Understanding of Street Scenes (ICCV 2017).
The layouts of releases 1.2 and 2.0 are read:

    ROOT/config.json, ROOT/training/images/STEM.jpg and ROOT/training/labels/STEM.png
    ROOT/config_v1.2.json, ROOT/training/images/STEM.jpg and ROOT/training/v1.2/labels/STEM.png
    ROOT/config_v2.0.json, ROOT/training/images/STEM.jpg and ROOT/training/v2.0/labels/STEM.png
"""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, KeyFrameError, LabelError, WarpRefineError
from warprefine.core.names import nearest_name
from warprefine.core.video import Dataset, Video
from warprefine.datasets.files import existing_folder, frames_in, labels_in
from warprefine.io.text import read_json

_SPLITS = {
    "train": ("training", "v1.2"),
    "val": ("validation", "v1.2"),
    "train-v2": ("training", "v2.0"),
    "val-v2": ("validation", "v2.0"),
}


def read_mapillary(root: Path, split: str) -> Dataset:
    """Read one split of Mapillary Vistas; each picture is a video of one key frame.

    The classes are the labels that the configuration file marks with "evaluate"; all others are VOID.

    Args:
        split: "train" or "val" with the 66 labels of release 1.2, "train-v2" or "val-v2" with the 124 of
            release 2.0.

    Raises:
        DatasetError: A folder or the configuration is missing or invalid, or the split does not exist.
        KeyFrameError: A label map belongs to no picture, or no picture has one.
    """
    if split not in _SPLITS:
        raise DatasetError(
            f"Mapillary Vistas in {root} has no split {split!r}; {nearest_name(split, _SPLITS)}"
        )
    part, release = _SPLITS[split]
    existing_folder(root, expected="a folder of Mapillary Vistas with training, validation and a config file")
    classes = read_config(_config(root, release))
    folder = existing_folder(root / part, expected=f"the pictures and labels of split {split}")
    frames = frames_in(folder / "images")
    label_folder = _labels(folder, release)
    labels = labels_in(label_folder, tuple(frame.stem for frame in frames), what="key frame")
    videos = tuple(
        Video(name=frame.stem, stems=(frame.stem,), frame_paths=(frame,), labels={0: labels[number]})
        for number, frame in enumerate(frames)
        if number in labels
    )
    broken: dict[str, WarpRefineError] = {
        frame.stem: KeyFrameError(f"{frame} has no label map in {label_folder}; expected {frame.stem}.png")
        for number, frame in enumerate(frames)
        if number not in labels
    }
    if not videos:
        raise next(iter(broken.values()))
    return Dataset(root=root, classes=classes, videos=videos, broken=broken)


def read_config(path: Path) -> ClassSet:
    """Read the classes from a configuration file: a label's position in it is its id in files.

    Raises:
        DatasetError: The file is no JSON; a label lacks name, color or evaluate, or has one of
            the wrong kind; none is evaluated.
    """
    content = read_json(path, expected="the configuration of Mapillary Vistas", error_class=DatasetError)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list):
        raise DatasetError(f'{path} has no list "labels"; expected the configuration of Mapillary Vistas')
    for position, label in enumerate(labels):
        _check_label(path, position, label)
    numbers = [position for position, label in enumerate(labels) if label["evaluate"]]
    try:
        return ClassSet(
            names=tuple(labels[number]["name"] for number in numbers),
            colors=tuple(tuple(labels[number]["color"]) for number in numbers),
            file_ids=tuple(numbers),
            void_ids=tuple(sorted({*range(len(labels))} - {*numbers})),
        )
    except LabelError as error:
        raise DatasetError(f"{path}: {error}") from error


def _check_label(path: Path, position: int, label: Any) -> None:
    found = label if isinstance(label, dict) else {}
    name, color, evaluate = (found.get(key) for key in ("name", "color", "evaluate"))
    colored = (
        isinstance(color, list) and len(color) == 3 and all(type(c) is int and 0 <= c < 256 for c in color)
    )
    if not isinstance(name, str) or not colored or not isinstance(evaluate, bool):
        raise DatasetError(
            f"{path} has {short_repr(label)} as label {position}; expected a name, a color of three numbers "
            f"from 0 to 255, and evaluate as true or false"
        )


def _config(root: Path, release: str) -> Path:
    names = [f"config_{release}.json", *(["config.json"] if release == "v1.2" else [])]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DatasetError(
        f"there is no {' or '.join(names)} in {root}; it lies in the archive beside training and validation"
    )


def _labels(folder: Path, release: str) -> Path:
    """Find the label maps of a release; 1.2 originally had no folder of its own."""
    inside = folder / release / "labels"
    if release == "v1.2" and not inside.is_dir():
        inside = folder / "labels"
    return existing_folder(inside, expected=f"the label maps of release {release[1:]}")

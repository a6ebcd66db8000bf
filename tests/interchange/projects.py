"""Make data set folders of any label maps, and send them through a format and back."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.palette import distinct_colors
from warprefine.io.images import read_labels, write_labels
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, import_labels

Maps = Mapping[str, Mapping[str, np.ndarray]]
"""Label maps by video and stem."""


def class_lists() -> st.SearchStrategy[tuple[list[str], list[int] | None]]:
    """Any list of up to 8 class names of one line each, and ids or none; see `class_set`."""
    letters = st.characters(exclude_categories=("C", "Zl", "Zp"))
    names = st.text(letters, min_size=1, max_size=12).map(partial(unicodedata.normalize, "NFC"))
    kept = names.filter(lambda name: name == name.strip() and bool(name))
    lists = st.lists(kept, min_size=1, max_size=8, unique=True)
    ids = st.lists(st.integers(0, 254), min_size=8, max_size=8, unique=True)
    return st.tuples(lists, st.none() | ids)


def class_set(names: list[str], ids: list[int] | None) -> ClassSet:
    """Return a class set of what `class_lists` draws.

    It is no part of the strategy: while tests run, the types of its arguments are checked at random places,
    and strategies must not take random numbers of their own.
    """
    file_ids = tuple(ids[: len(names)]) if ids else ()
    return ClassSet(names=tuple(names), colors=distinct_colors([None] * len(names)), file_ids=file_ids)


def label_maps(classes: int) -> st.SearchStrategy[np.ndarray]:
    """Any label map of up to 40 x 40 pixels."""
    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    values = st.sampled_from([*range(classes), VOID])
    return sizes.flatmap(lambda size: arrays(np.uint8, size, elements=values))


def write_project(folder: Path, classes: ClassSet, maps: Maps) -> Path:
    """Write a data set folder with a grey picture for each label map."""
    write_classes(folder / "classes.toml", classes)
    for video, frames in maps.items():
        for stem, labels in frames.items():
            picture = folder / "videos" / video / "frames" / f"{stem}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", labels.shape[::-1], "grey").save(picture)
            path = folder / "videos" / video / "labels" / f"{stem}.png"
            write_labels(path, torch.from_numpy(labels)[None], classes)
    return folder


def read_maps(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the label maps of a data set folder."""
    dataset = open_dataset(folder)
    return {
        video.name: {
            video.stems[number]: read_labels(path, dataset.classes)[0].numpy()
            for number, path in video.labels.items()
        }
        for video in dataset.videos
    }


def without_label_maps(folder: Path, target: Path) -> Path:
    """Copy a data set folder without its label maps."""
    return shutil.copytree(
        folder, target, ignore=lambda _, names: [name for name in names if name == "labels"]
    )


def send(
    name: str, project: Path, folder: Path, *, settings: ExportSettings | None = None
) -> tuple[Path, ImportReport]:
    """Export a data set folder to a format, and import that into a copy without label maps."""
    export_labels(name, project, folder / "export", settings=settings)
    back = without_label_maps(project, folder / "back")
    return back, import_labels(name, folder / "export", back, add=True)

"""Read CamVid in its 11-class version: single labelled frames, or a clip with every frame labelled.

Brostow, Fauqueur and Cipolla, Pattern Recognition Letters 2009; 11 classes as in SegNet
(Badrinarayanan, Kendall and Cipolla, PAMI 2017). Two layouts are read:

    ROOT/SPLIT/images and ROOT/SPLIT/labels
    ROOT/SPLIT and ROOT/SPLITannot          as SegNet's authors publish it
"""

from __future__ import annotations

from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.datasets.files import existing_folder, frames_in, labels_in, visible

CAMVID_CLASSES = ClassSet(
    names=(
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree",
        "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    void_ids=(11,),
)  # fmt: skip

# Frames of these lie a second apart, too far for optical flow. Every other split is a clip.
_SINGLE_FRAMES = ("train", "val", "test")


def read_camvid(root: Path, split: str) -> Dataset:
    """Read one split of CamVid.

    In `train`, `val` and `test` each picture is a video of one frame; any other split is one
    video, whose labelled frames are all key frames.

    Raises:
        DatasetError: The split is missing or empty, or a picture of a single-frame split has no labels.
        KeyFrameError: A label map belongs to no picture.
    """
    images, labels = _folders(root, split)
    frames = frames_in(images)
    stems = tuple(frame.stem for frame in frames)
    labelled = labels_in(labels, stems, what="key frame")
    if split not in _SINGLE_FRAMES:
        clip = Video(name=split, stems=stems, frame_paths=tuple(frames), labels=labelled)
        return Dataset(root=root, classes=CAMVID_CLASSES, videos=(clip,))
    unlabelled = [frame.name for number, frame in enumerate(frames) if number not in labelled]
    if unlabelled:
        raise DatasetError(
            f"pictures of {images} have no label map in {labels}: {shorten(unlabelled)}; "
            f"expected one for each"
        )
    videos = (
        Video(name=frame.stem, stems=(frame.stem,), frame_paths=(frame,), labels={0: labelled[number]})
        for number, frame in enumerate(frames)
    )
    return Dataset(root=root, classes=CAMVID_CLASSES, videos=tuple(videos))


def _folders(root: Path, split: str) -> tuple[Path, Path]:
    existing_folder(root, expected="a folder of CamVid with one folder for each split")
    if (root / split / "images").is_dir():
        return root / split / "images", root / split / "labels"
    if (root / f"{split}annot").is_dir():
        return existing_folder(root / split, expected="the pictures of the split"), root / f"{split}annot"
    found = [entry.name for entry in visible(root) if entry.is_dir() and not entry.name.endswith("annot")]
    raise DatasetError(
        f"{root} has no split {split!r} of CamVid: it holds {shorten(found) or 'no folders'}; "
        f"expected {split}/images and {split}/labels, or {split} and {split}annot"
    )

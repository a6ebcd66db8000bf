"""Read DAVIS 2016: one moving object, masked on every frame.

Perazzi et al., CVPR 2016. Two layouts are read:

    ROOT/SEQUENCE/images and ROOT/SEQUENCE/labels
    ROOT/JPEGImages/480p/SEQUENCE and ROOT/Annotations/480p/SEQUENCE    as published
"""

from __future__ import annotations

from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.datasets.files import existing_folder, frames_in, labels_in, visible
from warprefine.io.text import read_text

# Published masks hold 255 for the object; copies of them often hold 1.
DAVIS_CLASSES = ClassSet(
    names=("background", "object"),
    colors=((96, 96, 96), (236, 95, 103)),
    file_ids=(0, 255),
    merged_ids=((), (1,)),
    void_ids=(254,),
)
ALL = "all"


def read_davis(root: Path, split: str) -> Dataset:
    """Read sequences of DAVIS 2016; every labelled frame is a key frame.

    Args:
        split: The name of a sequence, "all", or a list in ROOT/ImageSets/480p ("train", "val").

    Raises:
        DatasetError: The folder or the sequence is missing, or a sequence has no frames.
        KeyFrameError: A mask belongs to no frame.
    """
    existing_folder(root, expected="a folder of DAVIS with one folder for each sequence")
    folders = _sequences(root)
    if split != ALL and split not in folders:
        folders = {name: folders[name] for name in _listed(root, split, folders)}
    elif split != ALL:
        folders = {split: folders[split]}
    videos = tuple(_video(name, images, labels) for name, (images, labels) in folders.items())
    return Dataset(root=root, classes=DAVIS_CLASSES, videos=videos)


def _sequences(root: Path) -> dict[str, tuple[Path, Path]]:
    """Find the folders of pictures and of masks of each sequence."""
    pictures, masks = root / "JPEGImages" / "480p", root / "Annotations" / "480p"
    if pictures.is_dir():
        return {entry.name: (entry, masks / entry.name) for entry in visible(pictures) if entry.is_dir()}
    return {
        entry.name: (entry / "images", entry / "labels")
        for entry in visible(root)
        if (entry / "images").is_dir()
    }


def _listed(root: Path, split: str, sequences: dict[str, tuple[Path, Path]]) -> list[str]:
    """Read the sequences of a split from its list: lines such as /JPEGImages/480p/bear/00000.jpg ..."""
    path = root / "ImageSets" / "480p" / f"{split}.txt"
    if not path.is_file():
        raise DatasetError(
            f"{root} has no sequence {split!r} of DAVIS: it holds {shorten(sequences) or 'none'}; "
            f"name one of them, or {ALL!r}"
        )
    lines = read_text(path, expected="a list of pictures", error_class=DatasetError).split("\n")
    names = dict.fromkeys(Path(line.split()[0]).parent.name for line in lines if line.strip())
    missing = [name for name in names if name not in sequences]
    if missing:
        raise DatasetError(
            f"{path} lists sequences that {root} does not hold: {shorten(missing)}; unpack them too"
        )
    return list(names)


def _video(name: str, images: Path, labels: Path) -> Video:
    frames = frames_in(images)
    stems = tuple(frame.stem for frame in frames)
    return Video(
        name=name,
        stems=stems,
        frame_paths=tuple(frames),
        labels=labels_in(labels, stems, what="key frame"),
    )

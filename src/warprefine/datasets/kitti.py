"""Read the KITTI semantics benchmark as it is published: 200 labelled frames of 200 scenes.

Alhaija et al., IJCV 2018; Menze and Geiger, CVPR 2015. Label maps hold ids of Cityscapes:

    ROOT/training/image_2/NNNNNN_10.png      labelled frames
    ROOT/training/semantic/NNNNNN_10.png     their label maps
    ROOT/testing/image_2/NNNNNN_10.png       frames of the test set

The frames around them, NNNNNN_00 to NNNNNN_20, are the "multi-view extension" of the scene flow
benchmark: data_scene_flow_multiview. They are found where its archive is unpacked in ROOT, in
ROOT/data_scene_flow_multiview or in ROOT/multiview.
"""

from __future__ import annotations

from pathlib import Path

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.names import nearest_name
from warprefine.core.video import Dataset, Video
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.files import existing_folder, frames_in, visible
from warprefine.datasets.snippets import REACH, cut_clips, note_unlabelled, pictures_by_name

_PICTURES = Path("training", "image_2")
_LABELS = Path("training", "semantic")
_TEST_PICTURES = Path("testing", "image_2")
_MULTIVIEW = ("multiview", "data_scene_flow_multiview")
_LABELLED = "_10"

_FOLD_COUNT = 4
_FOLDS = {f"fold{fold}-{part}": (fold, part) for fold in range(_FOLD_COUNT) for part in ("train", "val")}


def read_kitti(root: Path, split: str) -> Dataset:
    """Read one split of KITTI semantics; a video is a labelled frame with up to 10 frames on either side.

    Scenes differ in size. Labelled frames without a picture are `broken`; gaps and scenes without
    labels are `notes`.

    Args:
        split: "train" (all labelled frames), "test" (single frames without labels), or a part of one
            of four folds, "fold0-train" and "fold0-val" to "fold3-val". The val part of fold k has
            every fourth label map in order of name, from the k-th on; the paper trains on four
            folds (section 4.5) without specifying them.

    Raises:
        DatasetError: The split does not exist, its folders are missing or empty, or two files have one name.
        KeyFrameError: No label map has a picture.
    """
    existing_folder(root, expected="a folder of KITTI semantics with training and testing")
    if split == "test":
        return _read_test(root)
    if split != "train" and split not in _FOLDS:
        names = ["train", "test", *_FOLDS]
        raise DatasetError(f"no split of KITTI semantics is called {split!r}; {nearest_name(split, names)}")
    folder = existing_folder(root / _LABELS, expected="label maps such as 000000_10.png")
    maps = pictures_by_name([folder], endings=(".png",))
    if not maps:
        found = shorten(entry.name for entry in visible(folder)) or "nothing"
        raise DatasetError(
            f"{folder} holds no label maps: found {found}; expected files such as 000000_10.png"
        )
    pictures: dict[str, Path] = {}
    for source in (*(root / name for name in _MULTIVIEW), root):
        pictures |= pictures_by_name([source / _PICTURES])
    clips = cut_clips(_chosen(maps, split), pictures, reach=REACH, expected=str(root / _PICTURES))
    unlabelled = note_unlabelled(pictures, maps, before=REACH, after=REACH)
    return Dataset(
        root=root,
        classes=CITYSCAPES_CLASSES,
        videos=clips.videos,
        broken=clips.broken,
        notes=(*clips.notes, *unlabelled),
    )


def _chosen(maps: dict[str, Path], split: str) -> dict[str, Path]:
    if split not in _FOLDS:
        return maps
    fold, part = _FOLDS[split]
    return {
        name: maps[name]
        for place, name in enumerate(sorted(maps))
        if (place % _FOLD_COUNT == fold) == (part == "val")
    }


def _read_test(root: Path) -> Dataset:
    folder = existing_folder(root / _TEST_PICTURES, expected="pictures such as 000000_10.png")
    # The folder may also hold the frames around the labelled ones.
    frames = [frame for frame in frames_in(folder) if frame.stem.endswith(_LABELLED)]
    videos = (Video(name=frame.stem, stems=(frame.stem,), frame_paths=(frame,)) for frame in frames)
    return Dataset(root=root, classes=CITYSCAPES_CLASSES, videos=tuple(videos))

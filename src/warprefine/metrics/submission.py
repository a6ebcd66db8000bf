"""Write, check and pack predictions for submission to the Cityscapes and KITTI benchmarks."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError, shorten
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.datasets.files import visible
from warprefine.io.atomic import replacing
from warprefine.io.frames import frame_size
from warprefine.io.images import read_ids, write_ids

UNLABELED = 0
"""The id of unlabelled pixels in Cityscapes and KITTI; VOID is submitted as it."""

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a ZIP archive can hold
_READABLE_FILE = 0o100644 << 16


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Naming of a benchmark's predictions.

    Args:
        pattern: The path of a prediction in the archive, with {stem} for the name of its frame.
    """

    pattern: str

    def path_of(self, video: Video, frame: int) -> PurePosixPath:
        """Return the path of the prediction for a frame, below the root of the archive."""
        return PurePosixPath(self.pattern.format(stem=video.stems[frame]))


SUBMISSIONS: dict[str, Submission] = {
    "cityscapes": Submission(pattern="{stem}_pred_labelIds.png"),
    "kitti": Submission(pattern="semantic/{stem}.png"),
}
"""Submissions by the name of the data set's reader."""


def frames_to_submit(video: Video) -> tuple[int, ...]:
    """Return the frames to submit: the key frames, or all frames of a video whose labels are withheld.

    Example:
        >>> video = Video(name="a", stems=("x", "y"), frame_paths=(Path("x.png"), Path("y.png")))
        >>> frames_to_submit(video)
        (0, 1)
    """
    return video.key_frames or tuple(range(len(video)))


def regular_ids(labels: LabelMaps, classes: ClassSet) -> UInt8[np.ndarray, "h w"]:
    """Convert one label map from positions in `classes` to the ids stored in files; VOID becomes `UNLABELED`.

    Raises:
        LabelError: A label is neither a position in `classes` nor VOID.

    Example:
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)), file_ids=(7, 26))
        >>> regular_ids(torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8), classes).tolist()
        [[7, 26, 0]]
    """
    (positions,) = labels.cpu()
    classes.check(labels)
    table = torch.full((VOID + 1,), UNLABELED, dtype=torch.uint8)
    table[: len(classes)] = torch.tensor(classes.ids)
    return table[positions.long()].numpy()


def write_prediction(
    folder: Path, submission: Submission, *, video: Video, frame: int, labels: LabelMaps, classes: ClassSet
) -> None:
    """Write the prediction for one frame below `folder`, under its official name.

    Raises:
        LabelError: A label is neither a position in `classes` nor VOID.
    """
    write_ids(folder / submission.path_of(video, frame), regular_ids(labels, classes))


def check_submission(folder: Path, submission: Submission, dataset: Dataset) -> None:
    """Check the predictions below `folder`: one for each frame, of its size, with valid ids.

    Reads every prediction, and of the frames only the headers.

    Raises:
        LabelError: A frame has no prediction; a prediction belongs to no frame, cannot be read, has
            another size than its frame or holds an id that is no class.
        FrameError: A frame cannot be read.
    """
    expected = {
        folder / submission.path_of(video, frame): (video, frame)
        for video in dataset.videos
        for frame in frames_to_submit(video)
    }
    found = dict.fromkeys(_predictions(folder))
    lacking = [path for path in expected if path not in found]
    if lacking:
        raise LabelError(
            f"{len(lacking)} of {len(expected)} predictions are missing in {folder}: "
            f"{shorten(path.name for path in lacking)}; predict all frames of the split"
        )
    strays = [path for path in found if path not in expected]
    if strays:
        raise LabelError(
            f"{len(strays)} predictions in {folder} belong to no frame of the split: "
            f"{shorten(path.name for path in strays)}; remove them"
        )
    for path, (video, frame) in expected.items():
        _check_prediction(path, dataset.classes, size=frame_size(video, frame))


def pack(folder: Path, archive: Path) -> None:
    """Pack the predictions below `folder` into a ZIP archive; equal files give equal bytes.

    Raises:
        LabelError: There are none.
    """
    predictions = _predictions(folder)
    if not predictions:
        raise LabelError(
            f"{folder} holds no predictions to pack; expected PNG files, predict the frames first"
        )
    with replacing(archive) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as zip_file:
        for path in predictions:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=_ZIP_EPOCH)
            entry.create_system = 3  # else the bytes depend on the operating system
            entry.external_attr = _READABLE_FILE
            zip_file.writestr(entry, path.read_bytes())


def _predictions(folder: Path) -> list[Path]:
    """List the PNG files of a folder and its subfolders, without hidden ones."""
    if not folder.is_dir():
        return []
    found: list[Path] = []
    for entry in visible(folder):
        if entry.is_dir():
            found += _predictions(entry)
        elif entry.suffix.lower() == ".png":
            found.append(entry)
    return found


def _check_prediction(path: Path, classes: ClassSet, *, size: tuple[int, int]) -> None:
    ids = read_ids(path)
    if ids.shape != size:
        raise LabelError(
            f"prediction {path} is {ids.shape[0]} x {ids.shape[1]} (h x w), but its frame is "
            f"{size[0]} x {size[1]}; predict at the size of the frame"
        )
    strays = np.setdiff1d(ids, (UNLABELED, *classes.ids)).tolist()
    if strays:
        raise LabelError(
            f"prediction {path} holds {shorten(strays)}, which is no id of a class; "
            f"expected {shorten(classes.ids, most=len(classes))}, or {UNLABELED}; write ids, not train ids"
        )

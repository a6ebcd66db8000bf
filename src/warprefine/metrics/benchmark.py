"""Score predictions by the rules of the Cityscapes and KITTI benchmarks, iIoU included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt16

from warprefine.core.errors import LabelError, shorten
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES, CITYSCAPES_LABELS
from warprefine.io.images import read_ids
from warprefine.metrics.instance_iou import CityscapesScores, Scores
from warprefine.metrics.submission import UNLABELED, regular_ids

_CITYSCAPES_TAIL, _CITYSCAPES_INSTANCES_TAIL = "_labelIds", "_instanceIds"
_KITTI_FOLDER, _KITTI_INSTANCES_FOLDER = "semantic", "instance"
_WITH_INSTANCES = [label.id for label in CITYSCAPES_LABELS if label.has_instances]


def score_with_instances(dataset: Dataset, predicted: Callable[[Video, int], LabelMaps]) -> Scores | None:
    """Score the predictions for all key frames; None unless these are label maps of Cityscapes or KITTI.

    Where no key frame has an instance map, every iIoU is NaN.

    Args:
        predicted: Returns the prediction for a frame of a video, one label map of the frame's size.

    Raises:
        LabelError: Some key frames have an instance map and some have none; a label map, an instance
            map or a prediction cannot be read or does not fit the others.
    """
    key_frames = [(video, frame) for video in dataset.videos for frame in video.labels]
    if dataset.classes != CITYSCAPES_CLASSES or not key_frames:
        return None
    instance_paths = _instance_paths([video.labels[frame] for video, frame in key_frames])
    scores = CityscapesScores()
    for video, frame in key_frames:
        path = video.labels[frame]
        truth_ids = read_ids(path)
        # 255 is VOID in every label map, and also the -1 of licence plates in 8 bits.
        truth_ids[truth_ids == VOID] = UNLABELED
        instance_ids = truth_ids if instance_paths is None else _read_instances(instance_paths[path])
        prediction_ids = regular_ids(predicted(video, frame), dataset.classes)
        try:
            scores.add(truth_ids=truth_ids, instance_ids=instance_ids, prediction_ids=prediction_ids)
        except LabelError as error:
            raise LabelError(f"{path}: {error}") from error
    return scores.result() if instance_paths is not None else _without_instances(scores.result())


def _instance_paths(label_paths: list[Path]) -> Mapping[Path, Path] | None:
    """Return the instance map of each label map; None if none has one."""
    found = {path: instances for path in label_paths if (instances := _instances_of(path)).is_file()}
    if not found:
        return None
    lacking = [path for path in label_paths if path not in found]
    if lacking:
        raise LabelError(
            f"{len(lacking)} of {len(label_paths)} label maps have no instance map: expected "
            f"{shorten(str(_instances_of(path)) for path in lacking)}; copy them too, or remove all for "
            "IoU alone"
        )
    return found


def _instances_of(label_path: Path) -> Path:
    """Return the path at which Cityscapes or KITTI keeps the instance map of a label map."""
    if label_path.parent.name == _KITTI_FOLDER:
        return label_path.parent.with_name(_KITTI_INSTANCES_FOLDER) / label_path.name
    name = label_path.stem.removesuffix(_CITYSCAPES_TAIL) + _CITYSCAPES_INSTANCES_TAIL
    return label_path.with_name(name + label_path.suffix)


def _read_instances(path: Path) -> Int32[np.ndarray, "h w"]:
    """Read an instance map as 1000 · id + number, or the id alone where no instance is numbered."""
    values = read_ids(path)
    return _from_kitti(values) if path.parent.name == _KITTI_INSTANCES_FOLDER else values.astype(np.int32)


def _from_kitti(values: UInt16[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Convert KITTI's 256 · id + number, with number 0 for no instance, to the ids of Cityscapes."""
    ids, numbers = (part.astype(np.int32) for part in np.divmod(values, 256))
    # KITTI numbers regions of other labels too, such as buildings; the benchmark scores no instances of them.
    numbered = (numbers > 0) & np.isin(ids, _WITH_INSTANCES)
    return np.where(numbered, 1000 * ids + numbers, ids)


def _without_instances(scores: Scores) -> Scores:
    def all_nan(names: Mapping[str, float]) -> dict[str, float]:
        return dict.fromkeys(names, float("nan"))

    return replace(scores, class_iiou=all_nan(scores.class_iiou), category_iiou=all_nan(scores.category_iiou))

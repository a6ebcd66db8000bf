"""Score label maps as the Cityscapes benchmark does: IoU and instance-level IoU of classes and categories.

IoU counts pixels, so a class is mostly judged by its large instances. The instance-level iIoU (Cordts
et al., CVPR 2016) weighs the pixels of each instance by

    w = mean instance size of the class / size of this instance,

so that every instance counts alike: iIoU = iTP / (iTP + FP + iFN), where iTP and iFN sum weighted
pixels and FP counts plain ones, for a prediction knows no instances. Unlike `evaluation.confusion`
this works on the ids that files of Cityscapes and KITTI hold, not on positions in a class set.

The rules are those of cityscapesScripts. Pixels whose truth is not evaluated are never a mistake. A
group of instances that was labelled as one region is in neither iTP nor iFN. Within a category, any of
its classes is right; for its iIoU so are classes that are not evaluated (caravan, trailer), for its
IoU they are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, Integer
from numpy.typing import ArrayLike

from warprefine.core.errors import LabelError, cut
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS, CityscapesLabel

IdMap: TypeAlias = Integer[np.ndarray, "_ _"]
"""(h, w) numbers as files hold them."""

_INSTANCES_PER_CLASS = 1000
_LABELS = tuple(label for label in CITYSCAPES_LABELS if label.id >= 0)  # an id is a position in it
_EVALUATED = np.array([label.evaluated for label in _LABELS])
_INSTANCE_SIZES = np.array([label.instance_size or 0.0 for label in _LABELS])
_CATEGORIES = {
    category: [label for label in _LABELS if label.category == category]
    for category in dict.fromkeys(label.category for label in _LABELS)
}
_CATEGORY_OF = np.array([list(_CATEGORIES).index(label.category) for label in _LABELS])


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """What the benchmark prints, 0..1 by name; NaN where there is nothing to score.

    That is: labels that are not evaluated, classes that occur in neither truth nor prediction, and
    the iIoU of what has no instances. NaN has no part in a mean; a class that is only predicted scores
    0 and does. `priors` are shares of the pixels that have each true label, evaluated or not.
    `confusion` counts pixels: row = true id, column = predicted id.
    """

    class_iou: Mapping[str, float]
    class_iiou: Mapping[str, float]
    category_iou: Mapping[str, float]
    category_iiou: Mapping[str, float]
    priors: Mapping[str, float]
    confusion: Int64[np.ndarray, "n n"]

    @property
    def mean_class_iou(self) -> float:
        """The mean IoU of classes."""
        return _mean(self.class_iou.values())

    @property
    def mean_class_iiou(self) -> float:
        """The mean iIoU of classes that have instances."""
        return _mean(self.class_iiou.values())

    @property
    def mean_category_iou(self) -> float:
        """The mean IoU of categories."""
        return _mean(self.category_iou.values())

    @property
    def mean_category_iiou(self) -> float:
        """The mean iIoU of categories that have instances."""
        return _mean(self.category_iiou.values())


class CityscapesScores:
    """Count image by image, and score the sum."""

    def __init__(self) -> None:
        count = len(_LABELS)
        self._confusion = np.zeros((count, count), np.int64)
        # Weighted pixels of numbered instances, by true id.
        self._in_instances = np.zeros(count)
        self._found = np.zeros(count)
        self._found_in_category = np.zeros(count)

    def add(self, *, truth_ids: IdMap, instance_ids: IdMap, prediction_ids: IdMap) -> None:
        """Count one image.

        Args:
            truth_ids: The true label of each pixel.
            instance_ids: 1000 · label + number for each pixel of an instance; others are at most 1000.
            prediction_ids: The predicted label of each pixel.

        Raises:
            LabelError: The sizes differ, an id is no label, or a label without instances has one.
        """
        if not truth_ids.shape == instance_ids.shape == prediction_ids.shape:
            raise LabelError(
                f"truth has size {truth_ids.shape}, instances {instance_ids.shape} and prediction "
                f"{prediction_ids.shape}; expected one size (h, w); resize the prediction to the truth"
            )
        _check_ids(truth_ids, what="truth")
        _check_ids(prediction_ids, what="prediction")
        count = len(_LABELS)
        pairs = truth_ids.astype(np.int64) * count + prediction_ids
        self._confusion += np.bincount(pairs.ravel(), minlength=count**2).reshape(count, count)
        numbered = instance_ids > _INSTANCES_PER_CLASS
        self._add_instances(instance_ids[numbered], prediction_ids[numbered])

    def result(self) -> Scores:
        """Score all images together."""
        pixels = self._confusion.sum()
        return Scores(
            class_iou={label.name: self._class_iou(label) for label in _LABELS},
            class_iiou={label.name: self._class_iiou(label) for label in _LABELS},
            category_iou={name: self._category_iou(members) for name, members in _CATEGORIES.items()},
            category_iiou={name: self._category_iiou(members) for name, members in _CATEGORIES.items()},
            priors={label.name: _ratio(self._confusion[label.id].sum(), pixels) for label in _LABELS},
            confusion=self._confusion.copy(),
        )

    def _add_instances(
        self, instance_of: Integer[np.ndarray, " p"], prediction: Integer[np.ndarray, " p"]
    ) -> None:
        instances, which, sizes = np.unique(instance_of, return_inverse=True, return_counts=True)
        owners = instances.astype(np.int64) // _INSTANCES_PER_CLASS
        _check_owners(owners, instances)
        right = prediction == owners[which]
        akin = _CATEGORY_OF[prediction] == _CATEGORY_OF[owners[which]]
        weights = _INSTANCE_SIZES[owners] / sizes
        for total, pixels in (
            (self._in_instances, sizes),
            (self._found, np.bincount(which, right, minlength=len(instances))),
            (self._found_in_category, np.bincount(which, akin, minlength=len(instances))),
        ):
            np.add.at(total, owners, pixels * weights)

    def _class_iou(self, label: CityscapesLabel) -> float:
        if not label.evaluated:
            return float("nan")
        true = self._confusion[label.id]
        return _ratio(true[label.id], true.sum() + self._false_positives([label.id], true_ids=[label.id]))

    def _class_iiou(self, label: CityscapesLabel) -> float:
        if not (label.evaluated and label.has_instances):
            return float("nan")
        false = self._false_positives([label.id], true_ids=[label.id])
        return _ratio(self._found[label.id], self._in_instances[label.id] + false)

    def _category_iou(self, members: Sequence[CityscapesLabel]) -> float:
        ids = [label.id for label in members if label.evaluated]
        found = self._confusion[np.ix_(ids, ids)].sum()
        return _ratio(found, self._confusion[ids].sum() + self._false_positives(ids, true_ids=ids))

    def _category_iiou(self, members: Sequence[CityscapesLabel]) -> float:
        if not all(label.has_instances for label in members):
            return float("nan")
        ids = [label.id for label in members if label.evaluated]
        false = self._false_positives([label.id for label in members], true_ids=ids)
        return _ratio(self._found_in_category[ids].sum(), self._in_instances[ids].sum() + false)

    def _false_positives(self, predicted_ids: list[int], *, true_ids: list[int]) -> int:
        """Count pixels that were given one of `predicted_ids` but are another evaluated label."""
        others = np.setdiff1d(np.flatnonzero(_EVALUATED), true_ids)
        return int(self._confusion[others][:, predicted_ids].sum())


def _check_ids(ids: IdMap, *, what: str) -> None:
    strays = np.unique(ids[(ids < 0) | (ids >= len(_LABELS))]).tolist()
    if strays:
        raise LabelError(
            f"{what} holds id {cut(strays)}, expected ids of Cityscapes, 0 to {len(_LABELS) - 1}; "
            f"give each pixel the id of a label"
        )


def _check_owners(owners: Int64[np.ndarray, " n"], instances: Integer[np.ndarray, " n"]) -> None:
    """Raise unless each instance belongs to a label that has instances or is not evaluated."""
    possible = {label.id for label in _LABELS if label.has_instances or not label.evaluated}
    strays = instances[~np.isin(owners, list(possible))].tolist()
    if strays:
        able = (f"{label.id} ({label.name})" for label in _LABELS if label.has_instances)
        raise LabelError(
            f"instance map holds {cut(strays)}, expected {_INSTANCES_PER_CLASS} · id + number with an id "
            f"that has instances: {cut(able, most=len(_LABELS))}; give other pixels the id alone"
        )


def _ratio(part: ArrayLike, whole: ArrayLike) -> float:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to score
        return float(np.divide(part, whole))


def _mean(values: Collection[float]) -> float:
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")

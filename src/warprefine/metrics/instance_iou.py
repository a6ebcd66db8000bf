"""IoU and instance-level iIoU of classes and categories, as computed by the Cityscapes benchmark.

IoU counts pixels, so large instances of a class dominate it. The instance-level iIoU (Cordts et al.,
CVPR 2016) weights the pixels of each instance by

    w = mean instance size of the class / size of this instance,

so that every instance counts alike: iIoU = iTP / (iTP + FP + iFN), where iTP and iFN sum weighted
pixels and FP counts plain ones, since a prediction has no instances. Unlike `metrics.confusion` this
works on the ids in files of Cityscapes and KITTI, not on positions in a class set.

The rules are those of cityscapesScripts. Pixels whose truth is not evaluated are never an error. A
group of instances labelled as one region is in neither iTP nor iFN. Within a category, any of its
classes is correct; for its iIoU so are classes that are not evaluated (caravan, trailer), for its IoU
they are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, Integer
from numpy.typing import ArrayLike

from warprefine.core.errors import LabelError, shorten
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS, CityscapesLabel

IdMap: TypeAlias = Integer[np.ndarray, "_ _"]
"""(h, w) ids as stored in files."""

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
    """Scores of the Cityscapes benchmark by name, 0..1; NaN where there is nothing to score.

    That is: labels that are not evaluated, classes that occur in neither truth nor prediction, and the
    iIoU of labels without instances. NaN is left out of a mean; a class that is only predicted scores 0
    and is not. `priors` are the shares of the pixels with each true label, evaluated or not.
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
    """Accumulate pixel counts image by image, and compute the scores of all images together.

    Example:
        >>> truth, prediction = np.array([[26, 26, 7]]), np.array([[26, 7, 7]])  # car 26, road 7
        >>> scores = CityscapesScores()
        >>> scores.add(truth_ids=truth, instance_ids=np.array([[26001, 26002, 7]]), prediction_ids=prediction)
        >>> scores.result().class_iou["car"], scores.result().class_iiou["car"]
        (0.5, 0.5)
    """

    def __init__(self) -> None:
        count = len(_LABELS)
        self._confusion = np.zeros((count, count), np.int64)
        # Weighted pixels of numbered instances, by true id.
        self._in_instances = np.zeros(count)
        self._found = np.zeros(count)
        self._found_in_category = np.zeros(count)

    def add(self, *, truth_ids: IdMap, instance_ids: IdMap, prediction_ids: IdMap) -> None:
        """Add the pixel counts of one image.

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
        """Compute the scores of all images added so far."""
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
        instances, inverse, sizes = np.unique(instance_of, return_inverse=True, return_counts=True)
        label_ids = instances.astype(np.int64) // _INSTANCES_PER_CLASS
        _check_instances(label_ids, instances)
        same_label = prediction == label_ids[inverse]
        same_category = _CATEGORY_OF[prediction] == _CATEGORY_OF[label_ids[inverse]]
        weights = _INSTANCE_SIZES[label_ids] / sizes
        for total, pixels in (
            (self._in_instances, sizes),
            (self._found, np.bincount(inverse, same_label, minlength=len(instances))),
            (self._found_in_category, np.bincount(inverse, same_category, minlength=len(instances))),
        ):
            np.add.at(total, label_ids, pixels * weights)

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
        """Count the pixels predicted as one of `predicted_ids` whose truth is another evaluated label."""
        others = np.setdiff1d(np.flatnonzero(_EVALUATED), true_ids)
        return int(self._confusion[others][:, predicted_ids].sum())


def _check_ids(ids: IdMap, *, what: str) -> None:
    strays = np.unique(ids[(ids < 0) | (ids >= len(_LABELS))]).tolist()
    if strays:
        raise LabelError(
            f"{what} holds id {shorten(strays)}, expected ids of Cityscapes, 0 to {len(_LABELS) - 1}; "
            f"give each pixel the id of a label"
        )


def _check_instances(label_ids: Int64[np.ndarray, " n"], instances: Integer[np.ndarray, " n"]) -> None:
    """Raise unless each instance belongs to a label that has instances or is not evaluated."""
    possible = {label.id for label in _LABELS if label.has_instances or not label.evaluated}
    strays = instances[~np.isin(label_ids, list(possible))].tolist()
    if strays:
        able = (f"{label.id} ({label.name})" for label in _LABELS if label.has_instances)
        raise LabelError(
            f"instance map holds {shorten(strays)}, expected {_INSTANCES_PER_CLASS} · id + number with an id "
            f"that has instances: {shorten(able, most=len(_LABELS))}; give other pixels the id alone"
        )


def _ratio(part: ArrayLike, whole: ArrayLike) -> float:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to score
        return float(np.divide(part, whole))


def _mean(values: Collection[float]) -> float:
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")

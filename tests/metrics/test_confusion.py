"""Check the scores against cases counted by hand and against torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.metrics.confusion import (
    count,
    coverage,
    frequency_weighted_iou,
    iou,
    mean_accuracy,
    mean_iou,
    merge,
    pixel_accuracy,
)

CLASSES = 4


def maps(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.uint8)


label_arrays = npst.arrays(np.uint8, (1, 6, 7), elements=st.sampled_from([*range(CLASSES), VOID]))
class_arrays = npst.arrays(np.uint8, (1, 6, 7), elements=st.integers(0, CLASSES - 1))


def test_rows_are_the_truth_columns_the_prediction_and_void_comes_last():
    """One pixel of class 0 called 1, one void pixel called 0, and one pixel of class 1 left void."""
    matrix = count(maps([1, 0, VOID]), maps([0, VOID, 1]), class_count=2)

    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_iou_counts_a_void_prediction_as_a_miss_and_ignores_void_truth():
    """Class 0: two of four pixels right, one lost to 1, one to void; what lies on void truth is free."""
    truth = maps([0, 0, 0, 0, 1, VOID])
    prediction = maps([0, 0, 1, VOID, 1, 0])

    matrix = count(prediction, truth, class_count=3)

    assert iou(matrix)[:2].tolist() == [2 / 4, 1 / 2]
    assert np.isnan(iou(matrix)[2])
    assert mean_iou(matrix) == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert pixel_accuracy(matrix) == pytest.approx(3 / 5)
    assert mean_accuracy(matrix) == pytest.approx((2 / 4 + 1) / 2)
    assert frequency_weighted_iou(matrix) == pytest.approx((4 * 2 / 4 + 1 * 1 / 2) / 5)
    assert coverage(matrix) == pytest.approx(4 / 5)


def test_void_as_a_class_has_an_iou_of_its_own():
    """Void: one pixel right, one claimed by class 0, one taken from it: 1/3; class 0 pays for its claim."""
    matrix = count(maps([VOID, 0, VOID, 0]), maps([VOID, VOID, 0, 0]), class_count=1)

    assert iou(matrix, void_as_class=True).tolist() == [1 / 3, 1 / 3]
    assert iou(matrix).tolist() == [1 / 2]
    assert pixel_accuracy(matrix, void_as_class=True) == 1 / 2


def test_a_class_that_is_only_predicted_scores_zero_and_not_nan():
    """Inventing a class that is not there costs as much as missing one that is."""
    matrix = count(maps([1, 0]), maps([0, 0]), class_count=2)

    assert iou(matrix).tolist() == [1 / 2, 0.0]
    assert mean_accuracy(matrix) == 1 / 2


def test_nothing_to_score_gives_nan_everywhere():
    """Truth that is void throughout says nothing about the labels."""
    matrix = count(maps([0, 1]), maps([VOID, VOID]), class_count=2)

    scores = [f(matrix) for f in (mean_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou, coverage)]
    assert np.isnan(scores).all()


@pytest.mark.parametrize(("prediction", "truth"), [([7], [0]), ([0], [7])])
def test_a_class_beyond_the_class_set_is_refused(prediction, truth):
    """A label map of another data set does not slip into the scores."""
    with pytest.raises(LabelError, match=r"hold class 7, expected 0 to 2 or VOID.*classes of this data set"):
        count(maps(prediction), maps(truth), class_count=3)


def test_classes_of_a_group_are_not_mistaken_for_each_other():
    """Car and truck are vehicles: one called the other is right, one called road is not; void stays void."""
    truth, prediction = maps([0, 1, 2, 1, 2, VOID, 0]), maps([0, 2, 1, 0, 2, 1, VOID])
    matrix = count(prediction, truth, class_count=3)

    merged = merge(matrix, ["flat", "vehicle", "vehicle"])

    assert merged.tolist() == [[1, 0, 1], [1, 3, 0], [0, 1, 0]]
    assert iou(merged).tolist() == [1 / 3, 3 / 4]
    assert merge(matrix, ["a", "b", "c"]).tolist() == matrix.tolist()


def test_groups_come_in_the_order_in_which_they_first_occur():
    """Classes of a group need not stand side by side."""
    matrix = count(maps([0, 1, 2, 2]), maps([0, 1, 2, 2]), class_count=3)

    assert np.diagonal(merge(matrix, ["thing", "stuff", "thing"])).tolist() == [3, 1, 0]


@settings(max_examples=40, deadline=None)
@given(prediction=class_arrays, truth=label_arrays)
def test_scores_agree_with_torchmetrics(prediction, truth):
    """An independent implementation finds the same numbers wherever it can express the question."""
    truth[0, 0, 0] = 0  # torchmetrics has no answer for truth that is void throughout
    matrix = count(torch.from_numpy(prediction), torch.from_numpy(truth), class_count=CLASSES)
    args = torch.from_numpy(prediction).long(), torch.from_numpy(truth).long()
    options = {"num_classes": CLASSES, "ignore_index": VOID}

    expected = MulticlassConfusionMatrix(**options)(*args)
    by_class = MulticlassJaccardIndex(average="none", **options)(*args)
    macro = MulticlassJaccardIndex(average="macro", **options)(*args)
    weighted = MulticlassJaccardIndex(average="weighted", **options)(*args)
    right = MulticlassAccuracy(average="micro", **options)(*args)

    assert matrix[:-1, :-1].tolist() == expected.tolist()
    assert np.nan_to_num(iou(matrix)) == pytest.approx(by_class.numpy(), abs=1e-6)
    assert mean_iou(matrix) == pytest.approx(macro.item(), abs=1e-6)
    assert frequency_weighted_iou(matrix) == pytest.approx(weighted.item(), abs=1e-6)
    assert pixel_accuracy(matrix) == pytest.approx(right.item(), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(first=label_arrays, second=label_arrays, truth=label_arrays)
def test_matrices_of_frames_add_up_to_the_matrix_of_the_batch(first, second, truth):
    """Counting two frames one by one or together is the same, and no pixel is lost."""
    frames = torch.from_numpy(np.concatenate([first, second]))
    truths = torch.from_numpy(np.concatenate([truth, truth]))

    together = count(frames, truths, class_count=CLASSES)
    apart = sum(count(frames[i : i + 1], truths[i : i + 1], class_count=CLASSES) for i in (0, 1))

    assert (together == apart).all()
    assert together.sum() == frames.numel()


@settings(max_examples=40, deadline=None)
@given(prediction=label_arrays, truth=label_arrays, order=st.permutations(range(CLASSES)))
def test_renaming_the_classes_only_reorders_the_scores(prediction, truth, order):
    """No class is special: the scores move with the classes and the means stay."""
    renamed = np.arange(256, dtype=np.uint8)
    renamed[list(order)] = np.arange(CLASSES)
    before = count(torch.from_numpy(prediction), torch.from_numpy(truth), class_count=CLASSES)
    after = count(
        torch.from_numpy(renamed[prediction]), torch.from_numpy(renamed[truth]), class_count=CLASSES
    )

    assert np.array_equal(iou(before)[list(order)], iou(after), equal_nan=True)
    assert mean_iou(before) == pytest.approx(mean_iou(after), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(truth=label_arrays)
def test_the_truth_scores_one_against_itself(truth):
    """A perfect prediction has IoU 1 for every class that occurs, void included."""
    matrix = count(torch.from_numpy(truth), torch.from_numpy(truth), class_count=CLASSES)

    by_class = iou(matrix, void_as_class=True)
    assert (by_class[~np.isnan(by_class)] == 1).all()

"""Check the scores of the Cityscapes benchmark against cases counted by hand."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from warprefine.core.errors import LabelError
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS
from warprefine.metrics.confusion import count, iou
from warprefine.metrics.instance_iou import CityscapesScores, Scores

LABELS = {label.name: label for label in CITYSCAPES_LABELS}
ROAD, SKY, PERSON, RIDER, CAR, TRUCK, CARAVAN = (
    LABELS[name].id for name in ("road", "sky", "person", "rider", "car", "truck", "caravan")
)
EVALUATED = [label.id for label in CITYSCAPES_LABELS if label.evaluated]
CAR_SIZE, TRUCK_SIZE = (LABELS[name].instance_size or 0.0 for name in ("car", "truck"))

Row = list[int]


def row(*values: Row) -> NDArray[np.int32]:
    return np.array([[value for part in values for value in part]], np.int32)


def score(*, truth: NDArray[np.int32], prediction: NDArray[np.int32]) -> Scores:
    """Score one image, whose truth is given as an instance map: ids, or 1000 · id + number."""
    scores = CityscapesScores()
    ids = np.where(truth > 1000, truth // 1000, truth)
    scores.add(truth_ids=ids, instance_ids=truth, prediction_ids=prediction)
    return scores.result()


def test_the_table_is_indexed_by_ids_and_train_ids_count_the_evaluated() -> None:
    """An id is its label's place in the table, and the train ids of what is scored are 0 to 18."""
    with_ids = [label for label in CITYSCAPES_LABELS if label.id >= 0]

    assert [label.id for label in with_ids] == list(range(34))
    assert [label.train_id for label in with_ids if label.evaluated] == list(range(19))


def test_a_perfect_prediction_scores_one() -> None:
    """The truth against itself is 1 in every score that there is."""
    truth = row([ROAD] * 3, [26001] * 7, [26002] * 3, [24001], [25003] * 2)
    result = score(truth=truth, prediction=np.where(truth > 1000, truth // 1000, truth))

    for values in (result.class_iou, result.class_iiou, result.category_iou, result.category_iiou):
        assert {value for value in values.values() if not isnan(value)} == {1.0}
    assert {name for name, value in result.class_iiou.items() if value == 1} == {"person", "rider", "car"}
    assert {name for name, value in result.category_iiou.items() if value == 1} == {"human", "vehicle"}
    means = result.mean_class_iou, result.mean_class_iiou, result.mean_category_iou
    assert (*means, result.mean_category_iiou) == (1, 1, 1, 1)


def test_every_instance_counts_alike() -> None:
    """A car of 8 pixels is found and one of 2 is missed: IoU says 8 of 10, iIoU one of two."""
    result = score(truth=row([26001] * 8, [26002] * 2), prediction=row([CAR] * 8, [ROAD] * 2))

    assert result.class_iou["car"] == pytest.approx(8 / 10)
    assert result.class_iiou["car"] == pytest.approx(1 / 2)


def test_false_positives_are_not_weighted() -> None:
    """Three pixels of road called car weigh three, beside a car that weighs a car's mean size."""
    result = score(truth=row([26001] * 4, [ROAD] * 3), prediction=row([CAR] * 7))

    assert result.class_iou["car"] == pytest.approx(4 / 7)
    assert result.class_iiou["car"] == pytest.approx(CAR_SIZE / (CAR_SIZE + 3))


@pytest.mark.parametrize("called", [CAR, ROAD])
def test_a_group_is_neither_found_nor_missed(called: int) -> None:
    """Cars labelled as one region without a number change IoU, but not iIoU."""
    result = score(truth=row([26001] * 4, [CAR] * 5), prediction=row([CAR] * 2, [ROAD] * 2, [called] * 5))

    assert result.class_iou["car"] == pytest.approx((2 + 5 * (called == CAR)) / 9)
    assert result.class_iiou["car"] == pytest.approx(1 / 2)
    assert result.category_iiou["vehicle"] == pytest.approx(1 / 2)


def test_any_label_of_the_category_is_right() -> None:
    """A truck called car is a wrong truck and a false car, but a right vehicle."""
    result = score(truth=row([27001] * 6), prediction=row([CAR] * 2, [TRUCK] * 4))

    assert result.class_iou["truck"] == pytest.approx(4 / 6)
    assert result.class_iou["car"] == 0
    assert result.category_iou["vehicle"] == 1
    assert result.class_iiou["truck"] == pytest.approx(4 / 6)
    assert result.category_iiou["vehicle"] == pytest.approx(1)


def test_a_caravan_is_a_vehicle_for_the_category_iiou_alone() -> None:
    """A car called caravan is missed by IoU and found by iIoU; road called caravan harms iIoU only."""
    result = score(truth=row([26001] * 6, [ROAD] * 5), prediction=row([CAR] * 4, [CARAVAN] * 7))

    assert result.category_iou["vehicle"] == pytest.approx(4 / 6)
    assert result.category_iiou["vehicle"] == pytest.approx(CAR_SIZE / (CAR_SIZE + 5))
    assert result.class_iiou["car"] == pytest.approx(4 / 6)


def test_what_is_not_evaluated_is_never_a_mistake() -> None:
    """Caravans and void called car cost nothing; a car left void is missed."""
    truth = row([26001] * 4, [29001] * 3, [0] * 2)
    result = score(truth=truth, prediction=row([CAR] * 3, [0], [CAR] * 5))

    assert result.class_iou["car"] == pytest.approx(3 / 4)
    assert result.class_iiou["car"] == pytest.approx(3 / 4)
    assert result.category_iiou["vehicle"] == pytest.approx(3 / 4)
    assert isnan(result.class_iou["caravan"])
    assert isnan(result.class_iiou["caravan"])


def test_an_absent_class_is_nan_and_an_invented_one_zero() -> None:
    """Road is half right, sky is invented, persons occur nowhere: the mean is that of road and sky."""
    result = score(truth=row([ROAD] * 4), prediction=row([ROAD] * 2, [SKY] * 2))

    assert (result.class_iou["road"], result.class_iou["sky"]) == (1 / 2, 0)
    assert isnan(result.class_iou["person"])
    assert isnan(result.category_iou["human"])
    assert isnan(result.category_iou["void"])
    assert result.mean_class_iou == pytest.approx(1 / 4)
    assert result.mean_category_iou == pytest.approx(1 / 4)
    assert isnan(result.mean_class_iiou)
    assert isnan(result.mean_category_iiou)


def test_images_are_counted_before_they_are_scored() -> None:
    """Two images score as one that shows both; the weight of an instance is that of its own image."""
    scores = CityscapesScores()
    for size, found in ((8, 8), (2, 1)):
        ids = np.full((1, size), CAR)
        prediction = row([CAR] * found, [ROAD] * (size - found))
        scores.add(truth_ids=ids, instance_ids=ids * 1000 + 1, prediction_ids=prediction)
    result = scores.result()

    assert result.class_iou["car"] == pytest.approx(9 / 10)
    assert result.class_iiou["car"] == pytest.approx((1 + 1 / 2) / 2)
    assert result.confusion[CAR].tolist() == [0] * ROAD + [1] + [0] * (CAR - ROAD - 1) + [9] + [0] * 7
    assert (result.priors["car"], result.priors["road"]) == (1, 0)


def test_nothing_counted_scores_nothing() -> None:
    """Without images there is no score, and no prior either."""
    result = CityscapesScores().result()

    assert isnan(result.mean_class_iou)
    assert isnan(result.priors["road"])


def test_a_result_is_not_changed_by_further_images() -> None:
    """Scores that were handed out stay as they were."""
    scores = CityscapesScores()
    ids = np.full((2, 2), ROAD)
    scores.add(truth_ids=ids, instance_ids=ids, prediction_ids=ids)
    before = scores.result()
    scores.add(truth_ids=ids, instance_ids=ids, prediction_ids=ids)

    assert before.confusion.sum() == 4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_class_iou_is_that_of_our_own_confusion_matrix(seed: int) -> None:
    """Counted in ids or in positions of a class set, the IoU of a class is the same."""
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.choice(EVALUATED[:10], (6, 7)).astype(np.int32) for _ in range(2))
    positions = np.zeros(34, np.uint8)
    positions[EVALUATED] = np.arange(len(EVALUATED))

    found = score(truth=truth, prediction=prediction).class_iou
    maps = (torch.from_numpy(positions[ids][None]) for ids in (prediction, truth))

    names = [label.name for label in CITYSCAPES_LABELS if label.evaluated]
    expected = iou(count(*maps, class_count=len(EVALUATED)))
    assert [found[name] for name in names] == pytest.approx(expected.tolist(), nan_ok=True)


@pytest.mark.parametrize(("what", "stray"), [("prediction", 255), ("prediction", 34), ("truth", -1)])
def test_what_is_no_id_is_refused(what: str, stray: int) -> None:
    """Train ids with 255 or licence plates with -1 do not slip into the scores."""
    ids = np.array([[ROAD, stray]])
    maps = {"truth": np.full_like(ids, ROAD), "prediction": np.full_like(ids, ROAD), what: ids}

    with pytest.raises(
        LabelError, match=rf"{what} holds id {stray}, expected ids of Cityscapes, 0 to 33; give"
    ):
        CityscapesScores().add(
            truth_ids=maps["truth"], instance_ids=maps["truth"], prediction_ids=maps["prediction"]
        )


@pytest.mark.parametrize("stray", [7001, 34001, 65535])
def test_an_instance_of_what_has_none_is_refused(stray: int) -> None:
    """Road has no instances, and there is no label 34."""
    ids = np.full((1, 2), ROAD)
    with pytest.raises(LabelError, match=rf"instance map holds {stray}, expected 1000 · id.*24 \(person\)"):
        CityscapesScores().add(truth_ids=ids, instance_ids=np.array([[ROAD, stray]]), prediction_ids=ids)


def test_maps_of_different_sizes_are_refused() -> None:
    """A prediction at half size is not compared with a corner of the truth."""
    ids = np.full((4, 6), ROAD)
    with pytest.raises(
        LabelError, match=r"truth has size \(4, 6\), .* prediction \(2, 3\); expected one size"
    ):
        CityscapesScores().add(truth_ids=ids, instance_ids=ids, prediction_ids=ids[:2, :3])

"""Check the scores of a method, their files and their table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.metrics.scores import (
    GroupScores,
    MethodScores,
    best,
    hardest_classes,
    in_order,
    leading,
    split,
    spread,
    write_metrics,
)

CLASSES = ClassSet(names=("road", "car", "bird"), colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)))


def scores_of(*rows: list[int]) -> MethodScores:
    """Score matrices whose only entries are right pixels (road, car) and cars called road."""
    matrices = np.zeros((len(rows), 4, 4), np.int64)
    for matrix, (road, car, missed) in zip(matrices, rows, strict=True):
        matrix[0, 0], matrix[1, 1], matrix[1, 0] = road, car, missed
    frames = [1] * len(rows)
    return MethodScores.of(matrices, classes=CLASSES, frames_by_distance=frames)


def test_totals_come_from_the_pixels_of_all_distances():
    """IoU over all distances weighs pixels; the headline mIoU is the mean over distances."""
    scores = scores_of([6, 2, 2], [10, 0, 0])

    assert scores.miou_by_distance == pytest.approx([100 * (6 / 8 + 2 / 4) / 2, 100])
    assert scores.miou == pytest.approx((62.5 + 100) / 2)
    assert scores.iou_by_class == {"road": pytest.approx(1600 / 18), "car": pytest.approx(50), "bird": None}
    assert scores.iou_by_class_and_distance["car"] == [pytest.approx(50), None]
    assert scores.pixel_accuracy == pytest.approx(90)
    assert scores.mean_accuracy == pytest.approx(75)
    assert scores.coverage == 100
    assert scores.ignore_iou is None


def test_void_as_a_class_counts_what_is_claimed_on_void_against_the_class():
    """With void as a class, road pays for the void pixels that it takes; without, they are free."""
    matrices = np.zeros((1, 4, 4), np.int64)
    matrices[0, 0, 0], matrices[0, 3, 0], matrices[0, 3, 3] = 6, 2, 2

    plain, with_void = (
        MethodScores.of(matrices, classes=CLASSES, frames_by_distance=[1], void_as_class=void_as_class)
        for void_as_class in (False, True)
    )

    assert (plain.iou_by_class["road"], with_void.iou_by_class["road"]) == (100, 75)
    assert with_void.iou_by_class_and_distance["road"] == [75]
    assert (plain.miou, with_void.miou) == (100, pytest.approx((75 + 50) / 2))
    assert (plain.pixel_accuracy, with_void.pixel_accuracy) == (100, 80)
    assert plain.ignore_iou == with_void.ignore_iou == 50


def test_categories_are_scored_where_classes_have_them():
    """A car called bird is a wrong thing for the classes and a right one for the categories."""
    classes = replace(CLASSES, categories=("flat", "thing", "thing"))
    matrices = np.zeros((2, 4, 4), np.int64)
    matrices[0, 0, 0], matrices[0, 1, 1], matrices[1, 1, 2], matrices[1, 1, 0] = 4, 2, 2, 1

    scores = MethodScores.of(matrices, classes=classes, frames_by_distance=[1, 1])

    assert scores.category_miou == pytest.approx(100 * (4 / 5 + 4 / 5) / 2)
    assert scores_of([6, 2, 2]).category_miou is None


def test_boundaries_are_scored_from_the_counts_of_all_distances():
    """Over all distances road finds 15 of 20 boundary pixels, at the second one 5 of 10; birds have none."""
    counts = np.zeros((3, 3, 4), np.int64)
    counts[0, 0], counts[1, 0], counts[1, 1] = [10] * 4, [10, 5, 10, 5], [0, 0, 3, 0]

    scores = MethodScores.of(
        np.zeros((3, 4, 4), np.int64), classes=CLASSES, frames_by_distance=[1, 1, 0], boundary_counts=counts
    )

    assert scores.boundary_f_by_class == {"road": pytest.approx(75), "car": 0, "bird": None}
    assert scores.boundary_f == pytest.approx(75 / 2)
    assert scores.boundary_f_by_distance == [100, pytest.approx(25), None]


def test_consistency_is_the_mean_iou_of_the_agreement():
    """Of ten pixels of road and ten of cars, five cars became road."""
    agreement = np.zeros((4, 4), np.int64)
    agreement[0, 0], agreement[1, 1], agreement[1, 0] = 10, 5, 5

    scores = MethodScores.of(
        np.zeros((1, 4, 4), np.int64), classes=CLASSES, frames_by_distance=[1], agreement=agreement
    )

    assert scores.consistency == pytest.approx(100 * (10 / 15 + 5 / 10) / 2)


def test_what_was_not_counted_has_no_score():
    """Boundaries and agreement are counted elsewhere; without their counts nothing is claimed."""
    scores = scores_of([6, 2, 2])

    assert (scores.boundary_f, scores.consistency, scores.boundary_f_by_distance) == (None, None, [None])
    assert scores.boundary_f_by_class == {"road": None, "car": None, "bird": None}


def test_a_distance_without_pixels_has_no_score():
    """Nothing to measure is None, never 0 and never NaN."""
    scores = scores_of([0, 0, 0])

    assert scores.miou_by_distance == [None]
    assert (scores.miou, scores.pixel_accuracy, scores.coverage) == (None, None, None)


def test_metrics_json_holds_every_score_in_percent(tmp_path):
    """metrics.json is {method: {"miou_by_distance": [k = 1, 2, ...], "miou": ..., ...}}; null is unknown."""
    path = tmp_path / "metrics.json"
    write_metrics(path, {"motion-only": scores_of([6, 2, 2], [0, 0, 0], [2, 0, 1])})

    (content,) = json.loads(path.read_text()).values()
    assert list(content)[:3] == ["miou_by_distance", "miou", "iou_by_class"]
    assert content["miou_by_distance"] == [62.5, None, 33.3333]
    assert content["miou"] == 47.9167
    assert content["iou_by_class"] == {"road": 72.7273, "car": 40.0, "bird": None}
    assert content["frames_by_distance"] == [1, 1, 1]


def test_metrics_csv_has_a_line_for_each_class_at_each_distance(tmp_path):
    """The long table that spreadsheets and plotting tools like; empty where nothing was measured."""
    write_metrics(tmp_path / "metrics.json", {"a": scores_of([6, 2, 1], [0, 0, 0])})

    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2
    assert rows[2] == {"method": "a", "distance": "1", "class": "car", "iou": "66.6667"}
    assert rows[3]["iou"] == ""


def test_names_are_no_formulas_in_metrics_csv(tmp_path):
    """A class that is called like a formula is only shown by a spreadsheet."""
    scores = scores_of([6, 2, 1])
    scores = replace(scores, iou_by_class_and_distance={"=HYPERLINK(A1)": [1.0], "@x": [2.0], "a=b": [3.0]})
    write_metrics(tmp_path / "metrics.json", {"+mine": scores})

    rows = (tmp_path / "metrics.csv").read_text().splitlines()[1:]
    assert rows == ["'+mine,1,'=HYPERLINK(A1),1.0", "'+mine,1,'@x,2.0", "'+mine,1,a=b,3.0"]


def test_methods_are_sorted_as_in_the_paper_and_others_by_name():
    """The paper's four methods, ours, the oracle, then whatever else there is."""
    ordered = [
        "motion-only", "semantic-only", "warp-inpaint", "warp-refine", "warp-refine-plus", "oracle",
        "antelope", "zebra",
    ]  # fmt: skip

    assert in_order(sorted(ordered, reverse=True)) == ordered


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (["oracle", "warp-refine-plus", "warp-refine"], "warp-refine-plus"),
        (["oracle", "warp-refine", "motion-only"], "warp-refine"),
        (["semantic-only", "motion-only"], "semantic-only"),
        (["mine", "oracle"], "mine"),
    ],
)
def test_the_leading_method_is_the_one_whose_labels_are_used(methods, expected):
    """Ours if it is there, else warp-refine; never the oracle, whose labels nobody has."""
    assert leading(methods) == expected


def test_best_ignores_what_was_not_measured():
    """A method without a score cannot win, and neither can the oracle."""
    assert best({"a": None, "b": 1.0, "c": 1.04, "oracle": 9.0}) == {"b", "c"}
    assert best({"a": None}) == set()


def test_hardest_classes_are_those_with_the_lowest_mean_iou():
    """A class that never occurs is not hard."""
    scores = {"a": scores_of([6, 2, 2]), "b": scores_of([6, 3, 1])}

    assert hardest_classes(scores, CLASSES, most=5) == ["car", "road"]
    assert hardest_classes(scores, CLASSES, most=1) == ["car"]


def test_spread_keeps_both_ends():
    """A short horizon is shown whole, a long one evenly."""
    assert spread(4, most=10) == [1, 2, 3, 4]
    assert spread(21, most=3) == [1, 11, 21]


def grouped(between: GroupScores | None, beside: GroupScores | None) -> MethodScores:
    """Return scores with groups of frames."""
    return replace(scores_of([6, 2, 2], [6, 2, 2]), between=between, beside=beside)


def test_frames_are_split_only_where_there_are_some_of_both_groups():
    """Where all frames are in one group, its scores are those of all, and there is nothing to tell apart."""
    near, far = scores_of([8, 2, 0], [0, 0, 0]), scores_of([4, 0, 2], [6, 2, 2])

    assert split({"a": grouped(near, far)}) == {"between": {"a": near}, "beside": {"a": far}}
    assert split({"a": grouped(None, far)}) == split({"a": grouped(near, None)}) == {}
    assert split({"a": grouped(None, None)}) == {}


def test_metrics_json_has_the_groups_that_have_frames(tmp_path):
    """Beside the scores of all frames, under "between" and "beside"; a group without frames is absent."""
    group = GroupScores.of(
        np.array([np.diag([8, 2, 0, 0]), np.diag([0, 0, 0, 0])]), classes=CLASSES, frames_by_distance=[1, 0]
    )
    found = []
    for name, scores in (("both", grouped(group, group)), ("one", grouped(None, group))):
        write_metrics(tmp_path / name / "metrics.json", {"a": scores})
        found.append(json.loads((tmp_path / name / "metrics.json").read_text())["a"])

    both, one = found
    assert both["between"] == both["beside"] == one["beside"]
    assert both["between"] == {
        "miou_by_distance": [100, None],
        "miou": 100,
        "iou_by_class": {"road": 100, "car": 100, "bird": None},
        "iou_by_class_and_distance": {"road": [100, None], "car": [100, None], "bird": [None, None]},
        "ignore_iou": None,
        "frames_by_distance": [1, 0],
    }
    assert "between" not in one
    assert both["miou"] == one["miou"] == 62.5


def test_metrics_csv_has_a_column_for_each_group(tmp_path):
    """The rows are the same; without both groups so are the columns."""
    near, far = scores_of([8, 2, 0], [0, 0, 0]), scores_of([4, 0, 2], [6, 3, 1])
    write_metrics(tmp_path / "metrics.json", {"a": grouped(near, far)})

    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2
    assert list(rows[2]) == ["method", "distance", "class", "iou", "iou_between", "iou_beside"]
    assert list(rows[2].values()) == ["a", "1", "car", "50.0", "100.0", "0.0"]
    assert (rows[3]["iou_between"], rows[3]["iou_beside"]) == ("", "75.0")

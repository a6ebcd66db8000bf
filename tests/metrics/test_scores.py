"""Check the scores of a method, their files and their table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.metrics.scores import (
    MethodScores,
    best,
    format_table,
    hardest_classes,
    in_order,
    leading,
    remarks,
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


def test_columns_of_a_long_horizon_stand_below_each_other():
    """Also where the distance has four digits."""
    scores = replace(scores_of([6, 2, 1]), miou_by_distance=[50.0] * 1499)

    head, line = format_table({"motion-only": scores}).splitlines()
    assert head.endswith("k=1499  mean")
    assert [end for end, letter in enumerate(head + " ") if letter == " " and head[end - 1] != " "][2:] == [
        end for end, letter in enumerate(line) if letter == "*"
    ]


def test_the_table_marks_the_best_of_each_column():
    """A star marks the best; equal when printed is equally good, and the oracle does not compete."""
    table = format_table(
        {
            "motion-only": scores_of([6, 2, 2], [8, 2, 0]),
            "warp-refine": scores_of([8, 2, 0], [8, 2, 0]),
            "oracle": scores_of([8, 2, 0], [8, 2, 0]),
        }
    )

    assert table.splitlines() == [
        "mIoU %        k=1   k=2  mean",
        "motion-only  62.5 100.0* 81.2",
        "warp-refine 100.0*100.0*100.0*",
        "oracle      100.0 100.0 100.0",
    ]


def test_a_table_of_a_long_horizon_fits_into_a_terminal():
    """Ten distances are shown, the first and the last among them, and the mean is still of all."""
    header, row = format_table({"semantic-only": scores_of(*[[8, 2, 0]] * 45)}).splitlines()

    assert header.split()[2:] == [
        "k=1",
        "k=6",
        "k=11",
        "k=16",
        "k=21",
        "k=25",
        "k=30",
        "k=35",
        "k=40",
        "k=45",
        "mean",
    ]
    assert max(len(header), len(row)) <= 80


def test_a_score_that_cannot_fail_is_remarked_on():
    """Flooding a frame with the only class is a perfect score, unless VOID counts."""
    flooded = MethodScores.of(
        np.array([[[2, 0], [90, 0]]]),
        classes=ClassSet(names=("car",), colors=((0, 0, 142),)),
        frames_by_distance=[1],
    )

    assert flooded.miou == 100
    note = (
        "note: 'car' is the only class that occurs, so labels of it cannot be wrong where the truth is VOID; "
        "score VOID too (--void-as-class)"
    )
    assert format_table({"mine": flooded}).splitlines()[2:] == [note]
    assert remarks({"mine": scores_of([6, 2, 2])}) == []


def test_what_was_not_measured_is_a_dash_in_the_table():
    """No score is not a score of 0."""
    assert "–" in format_table({"a": scores_of([0, 0, 0])})


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

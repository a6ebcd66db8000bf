"""Check the table of scores that commands print."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.metrics.test_scores import scores_of
from warprefine.core.classes import ClassSet
from warprefine.metrics.score_table import format_table, group_line, remarks
from warprefine.metrics.scores import MethodScores


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


def test_frames_between_and_beside_key_frames_have_tables_of_their_own():
    """Below the table of all frames, each with a line that says which frames they are, and how many."""
    near, far = scores_of([8, 2, 0], [0, 0, 0]), scores_of([4, 0, 2], [6, 3, 1])
    both = replace(scores_of([6, 2, 2], [6, 3, 1]), between=near, beside=far)

    lines = format_table({"a": both}).splitlines()

    assert lines == [
        "mIoU %   k=1   k=2  mean",
        "a       62.5* 80.4* 71.4*",
        "",
        "between (2 of 2 frames): a key frame before it and one after it",
        "mIoU %   k=1   k=2  mean",
        "a      100.0*    – 100.0*",
        "",
        "beside (2 of 2 frames): key frames on one side only, which alone must label it",
        "mIoU %   k=1   k=2  mean",
        "a       33.3* 80.4* 56.8*",
    ]
    assert group_line("beside", {"a": both}) == lines[7]
    assert format_table({"a": replace(both, between=None)}).splitlines() == lines[:2]

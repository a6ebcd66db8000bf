"""Check which scores the tables of the report show."""

from __future__ import annotations

import re
from dataclasses import replace

from warprefine.metrics.confidences import ConfidenceStatistics
from warprefine.metrics.label_quality import evaluate
from warprefine.report.tables import confidence_table, distance_table, legend, totals_table


def columns_of(table: str) -> list[str]:
    return re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', table)


def test_scores_that_nobody_has_are_left_out(run, dataset, world):
    """Classes without categories and frames too small for optical flow leave no empty columns."""
    scores = evaluate(run, dataset, methods=world.methods, horizon=world.horizon)
    known = {**scores, "warp-refine": replace(scores["warp-refine"], category_miou=98.7, consistency=96.5)}

    without, with_all = columns_of(totals_table(scores)), columns_of(totals_table(known))

    assert without[:4] == ["method", "mIoU", "boundary F", "pixel accuracy"]
    assert [title for title in with_all if title not in without] == ["category mIoU", "consistency"]
    assert re.search(r'"best">98\.7<.*"best">96\.5<', totals_table(known))


def test_confidence_stands_beside_how_often_a_class_occurs(world):
    """A class that was labelled by hand and is in no label is missed; the table shows both shares."""
    found = ConfidenceStatistics(
        by_distance=[99.0],
        by_class={"road": 99.5, "car": 41.0, "bird": None},
        shares={"road": 99.0, "car": 0.5, "bird": 0.0},
    )

    table = confidence_table(
        {"warp-refine": found}, world.classes, by_hand={"road": 90.0, "car": 8.0, "bird": 2.0}
    )

    assert columns_of(table) == ["class", "warp-refine", "share by hand", "share in warp-refine"]
    cells = [re.sub(r"<[^>]*>", " ", row).split() for row in table.split("<tr")[2:]]
    assert [row[1 if row[0].startswith("class") else 0 :][-4:] for row in cells] == [
        ["road", "99.5", "90.00", "99.00"],
        ["car", "41.0", "8.00", "0.50"],
        ["bird", "–", "2.00", "0.00"],
        ["of", "the", "classes", "70.2"],
    ]
    assert "best" not in table


def test_a_long_horizon_has_ten_columns():
    """Ends included, so that the table fits on the page."""
    table = distance_table({"motion-only": [50.0] * 1499}, {"motion-only": 50.0}, mark_best=False)

    titles = columns_of(table)
    assert (titles[:2], titles[-2:], len(titles)) == (["method", "k = 1"], ["k = 1499", "mean"], 12)


def test_the_legend_names_void(world):
    """What has no colour in the viewer has a name."""
    assert re.findall(r"</span>([^<]*)</li>", legend(world.classes))[-1] == "void (no class)"


def test_a_name_that_charts_cannot_draw_stands_beside_its_number(world):
    """So that both can be brought together."""
    classes = replace(world.classes, names=("road", "\U0005fffd", "<b>"))

    assert re.findall(r"</span>([^<]*)</li>", legend(classes)) == [
        "road",
        "\U0005fffd (class 1 in charts)",
        "&lt;b&gt;",
        "void (no class)",
    ]

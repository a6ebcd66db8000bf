"""Check which scores the tables of the report show."""

from __future__ import annotations

import re
from dataclasses import replace

from warprefine.metrics.label_quality import evaluate
from warprefine.report.tables import totals_table


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

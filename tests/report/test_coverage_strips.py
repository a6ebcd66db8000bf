"""Tests of report/coverage_strips.py: cuts and frames out of reach are drawn, where there are any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from warprefine.core.continuity import Continuity
from warprefine.core.video import Video
from warprefine.report.coverage_strips import coverage_section, coverage_strip

WHOLE = Video(
    name="a <b>",
    stems=[str(k) for k in range(20)],
    frame_paths=[Path(f"{k}.png") for k in range(20)],
    labels={4: Path("4.png")},
)


def test_a_strip_has_a_bar_for_what_is_in_reach_and_a_line_for_a_cut() -> None:
    """One unit of width is one frame; the text for screen readers has the numbers."""
    video = replace(WHOLE, continuity=Continuity(cuts=(8,)))

    drawing = ElementTree.fromstring(coverage_strip(video, 20))
    bars = [(int(bar.get("x", "")), int(bar.get("width", ""))) for bar in drawing.iter("rect")]

    assert bars == [(0, 20), (0, 8), (4, 1)]
    assert [line.get("x1") for line in drawing.iter("line")] == ["8"]
    assert drawing.get("aria-label") == "a <b>: 8 of 20 frames in reach, 1 cut"


def test_videos_that_are_labelled_throughout_are_not_drawn() -> None:
    """A report of a data set without cuts looks as before."""
    far = replace(WHOLE, name="far", labels={0: Path("0.png")})

    assert coverage_section([WHOLE], 20) == ""
    assert coverage_section([WHOLE, far], 16).count("<figure>") == 1
    assert "a &lt;b&gt;" in coverage_section([WHOLE], 2)
    assert "10 further videos not shown" in coverage_section([far] * 50, 3)

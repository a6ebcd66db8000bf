"""Tests of cli/quality.py: what `evaluate --hold-out` and `suggest` print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_suggest_prints_lines_or_json(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """The same frames, the best first, each with its reason."""
    warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=2", "--method=motion-only")

    lines = warprefine("suggest", tmp_path, "-n", "2")
    printed = warprefine("suggest", tmp_path, "-n", "2", "--json")
    found = json.loads(printed.stdout)

    assert lines.exit_code == 0
    assert len(found) == 2
    assert {"video", "frame", "reason", "gain"} <= set(found[0])
    text = " ".join(lines.stdout.split())
    for one in found:
        assert f"{one['video']} frame {one['frame']} ({one['stem']}): {one['reason']}" in text
        assert not one["calibrated"]
    note = "note: confidence is not calibrated: the order of frames is usable, the numbers are not"
    assert note in text
    assert note in " ".join(printed.stderr.split())


def test_evaluate_holds_out_key_frames(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """With one key frame per video there are cycles alone, as output and report say."""
    warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=2", "--method=motion-only")

    printed = warprefine("evaluate", tmp_path, "--hold-out")

    assert printed.exit_code == 0
    text = " ".join(printed.stdout.split())
    assert "motion-only: estimated mIoU" in text
    assert "cycles alone, the weaker estimate" in text
    assert "weaker estimate, and too high" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_boundaries_can_be_left_out(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """By `autolabel` and `evaluate`; the other scores stay."""
    options = (tiny_data, "--out", tmp_path, "--horizon=2", "--method=motion-only")

    def scores() -> Any:
        return json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["motion-only"]

    first = warprefine("autolabel", *options, "--no-boundaries")
    without = scores()
    again = warprefine("evaluate", tmp_path, "--no-boundaries")
    warprefine("autolabel", *options)

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert without["boundary_f"] is None
    assert scores()["boundary_f"] > 0
    assert scores()["miou_by_distance"] == without["miou_by_distance"]

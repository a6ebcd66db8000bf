"""Tests of metrics/network_scores.py: a network's scores and their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from warprefine.core.errors import RunFolderError
from warprefine.metrics.network_scores import NetworkScores

MATRIX = np.array([[6, 2, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [9, 9, 9, 9]], np.int64)
"""Three classes, the last of which does not occur, and VOID, which does not count."""


def test_scores_are_those_of_the_confusion_matrix() -> None:
    """Of 12 pixels 10 are right; the classes found have IoU 6/8 and 4/6, and one does not occur."""
    scores = NetworkScores.of(MATRIX, ("road", "car", "train"))

    assert scores.iou_by_class == {"road": 75.0, "car": 66.6667, "train": None}
    assert scores.miou == pytest.approx((75 + 66.6667) / 2, abs=1e-3)
    assert scores.pixel_accuracy == pytest.approx(100 * 10 / 12, abs=1e-3)
    assert scores.mean_accuracy == pytest.approx(100 * (6 / 8 + 1) / 2, abs=1e-3)


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    """The file gives the same scores back."""
    scores = NetworkScores.of(MATRIX, ("road", "car", "train"))
    scores.write(tmp_path / "scores.json")

    assert NetworkScores.read(tmp_path / "scores.json") == scores


@pytest.mark.parametrize("content", ["{", "[]", '{"miou": 3}'])
def test_a_file_with_something_else(tmp_path: Path, content: str) -> None:
    """What is no scores is named, with what to do."""
    path = tmp_path / "scores.json"
    path.write_text(content)

    with pytest.raises(RunFolderError, match=r"scores\.json holds no scores of a network.*delete it"):
        NetworkScores.read(path)

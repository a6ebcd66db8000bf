"""Tests of jobs/experiments/cases.py: which frames are worth a picture."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.core.video import Video
from warprefine.jobs.experiments.cases import Case, both_fail, disagreement, spread_out

VIDEO = Video(
    name="a", stems=[f"{k}" for k in range(9)], frame_paths=[Path(f"{k}.png") for k in range(9)], labels={}
)


def row(*values: int) -> Tensor:
    return torch.tensor([[values]], dtype=torch.uint8)


def maps(motion: Tensor, semantic: Tensor, ours: Tensor) -> dict[str, Tensor]:
    return {"motion-only": motion, "semantic-only": semantic, "warp-refine": ours}


def test_methods_disagree_where_a_label_differs() -> None:
    """A label that the segmenter is not sure of is no label, so it differs from none."""
    found = disagreement(maps(row(0, 0, 1, 0), row(0, 1, VOID, VOID), row(0, 0, 0, 0)))

    assert found.tolist() == [[[False, True, True, False]]]


def test_both_cues_fail_where_no_method_is_right() -> None:
    """By the truth; where it is VOID nothing can fail. The refiner may be right where both cues are wrong."""
    found = both_fail(
        maps(row(1, 1, 0, 1, 1), row(1, VOID, 1, 1, 1), row(1, 1, 1, 0, 1)), row(0, 0, 0, 0, VOID)
    )

    assert found.tolist() == [[[True, True, False, False, False]]]


def test_without_truth_both_cues_fail_where_neither_is_used() -> None:
    """The segmenter is not sure, and the label of the motion is overruled."""
    found = both_fail(maps(row(1, 1, 0), row(VOID, 0, VOID), row(0, 0, 0)), None)

    assert found.tolist() == [[[True, False, False]]]


def test_neighbouring_frames_are_one_example() -> None:
    """Of frames beside each other the first alone is shown."""
    cases = [
        Case(video=VIDEO, frame=frame, lead=None, disagreement=0.5, both_fail=0.1)
        for frame in (4, 5, 2, 7, 1)
    ]

    assert [case.frame for case in spread_out(cases, 3)] == [4, 7, 1]

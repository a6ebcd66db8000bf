"""Tests of jobs/training_reports.py: the reports of trainings that run at the same time."""

from __future__ import annotations

import json
from pathlib import Path

from warprefine.core.progress import silent
from warprefine.jobs.training_reports import CurveValue, Report, Telling, listening


def loss(step: int, value: float) -> CurveValue:
    return CurveValue(name="loss", step=step, value=value)


def test_a_training_tells_progress_and_curves() -> None:
    """Both go the same way."""
    told: list[Report | CurveValue] = []
    telling = Telling(tell=told.append)

    telling("training", 1, 2)
    telling.watch("loss", 1, 0.5)

    assert told == [("training", 1, 2, ""), loss(1, 0.5)]


def test_curves_of_several_trainings_lie_in_one_file(tmp_path: Path) -> None:
    """In the order in which they come; of a training that is begun again, each step is there once."""
    reports = []
    first, second = tmp_path / "a-seed0.safetensors", tmp_path / "a-seed1.safetensors"

    with listening(lambda task, done, total, note="": reports.append(done)) as listener:
        for weights, told in (
            (first, loss(1, 0.9)),
            (second, loss(1, 0.8)),
            (first, loss(20, 0.7)),
            (second, ("training", 3, 4, "")),
            (first, loss(20, 0.6)),
            (second, loss(20, 0.5)),
        ):
            listener.take(weights, told)

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["name"], line["step"], line["value"]) for line in lines] == [
        ("a-seed0/loss", 1, 0.9),
        ("a-seed1/loss", 1, 0.8),
        ("a-seed0/loss", 20, 0.6),
        ("a-seed1/loss", 20, 0.5),
    ]
    assert reports == [3]


def test_without_values_no_file_is_touched(tmp_path: Path) -> None:
    """Students that are there already have no curves."""
    with listening(silent) as listener:
        listener.take(tmp_path / "a.safetensors", ("training", 1, 1, ""))

    assert [*tmp_path.iterdir()] == []

"""Tests of io/curves.py: the values of a training, as JSON lines and as TensorBoard events."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.core.errors import RunFolderError
from warprefine.io.curves import Curves


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def draw(folder: Path, *steps: int, task: str = "segmenter", value: float = 0.1) -> None:
    with Curves(folder, task=task) as curves:
        for step in steps:
            curves("loss", step, value)


def test_each_value_is_a_line(tmp_path: Path) -> None:
    """Values can be read while the training still runs, with any tool that reads JSON."""
    with Curves(tmp_path / "run", task="segmenter") as curves:
        curves("loss", 1, 0.75)
        curves("learning rate", 1, 0.002)

        assert lines(tmp_path / "run") == [
            {"step": 1, "name": "segmenter/loss", "value": 0.75},
            {"step": 1, "name": "segmenter/learning rate", "value": 0.002},
        ]


def test_without_values_nothing_is_written(tmp_path: Path) -> None:
    """A process that logs nothing, such as any but the first, touches no file."""
    draw(tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_resumed_training_replaces_what_it_repeats(tmp_path: Path) -> None:
    """Repeated steps stand there once, with their last values; those of other trainings stay."""
    draw(tmp_path, 1, 20, 40, 60)
    draw(tmp_path, 40, 60, task="refiner")

    draw(tmp_path, 40, value=0.2)

    written = [(line["name"], line["step"], line["value"]) for line in lines(tmp_path)]
    assert written == [
        ("segmenter/loss", 1, 0.1),
        ("segmenter/loss", 20, 0.1),
        ("refiner/loss", 40, 0.1),
        ("refiner/loss", 60, 0.1),
        ("segmenter/loss", 40, 0.2),
    ]


def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    """A training killed in the middle of a line leaves a file that can be gone on with."""
    draw(tmp_path, 1, 20)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "na')

    draw(tmp_path, 40)

    assert [line["step"] for line in lines(tmp_path)] == [1, 20, 40]


def test_lines_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    """A folder in the place of the file stops the training in one line."""
    (tmp_path / "metrics.jsonl").mkdir()

    with pytest.raises(RunFolderError, match=r"cannot write .*jsonl: there is a folder of that name"):
        draw(tmp_path, 1)


def test_events_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    """A file in the place of the folder stops the training in one line."""
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").touch()

    with pytest.raises(RunFolderError, match=r"cannot write .*segmenter: a part of the path is a file"):
        draw(tmp_path, 1)


def test_tensorboard_shows_the_same_curves(tmp_path: Path) -> None:
    """The events hold what the lines hold, to the seven digits that they have; resumed, too."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    draw(tmp_path, 1, 20, 40, 60)
    draw(tmp_path, 40, 60, 80, value=0.2)

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "segmenter")).Reload()

    assert events.Tags()["scalars"] == ["segmenter/loss"]
    shown = [(event.step, event.value) for event in events.Scalars("segmenter/loss")]
    assert shown == [(line["step"], float(np.float32(line["value"]))) for line in lines(tmp_path)]
    assert [step for step, _ in shown] == [1, 20, 40, 60, 80]


def test_without_tensorboard_the_lines_remain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The package is not needed; the log says once where the curves are."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with caplog.at_level(logging.INFO):
        draw(tmp_path, 1, 20)

    assert len(lines(tmp_path)) == 2
    assert not (tmp_path / "tensorboard").exists()
    assert [record.message.split(",")[0] for record in caplog.records] == ["TensorBoard is not installed"]


def test_events_that_cannot_be_written_leave_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard writes in a thread of its own, whose error is told once, in one line, or not at all."""
    writer = pytest.importorskip("tensorboard.summary.writer.record_writer")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer.RecordWriter, "flush", refuse)
    before = threading.excepthook
    with suppress(RunFolderError):
        draw(tmp_path, 1, 2, 3)

    assert threading.excepthook is before

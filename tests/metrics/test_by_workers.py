"""Scores are the same where other processes count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

import pytest

from warprefine.cluster.processes import ProcessEngine
from warprefine.core import engine
from warprefine.core.engine import HERE, map_over
from warprefine.metrics import frame_counts
from warprefine.metrics.label_quality import evaluate
from warprefine.metrics.reliability import measure_reliability


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessEngine]:
    """Two processes."""
    with ProcessEngine(workers=2) as processes:
        yield processes


def test_workers_are_asked_where_there_is_much_to_do(
    workers: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For few frames they would take longer to start than this process takes; the order is kept."""
    started: list[str] = []
    stream = ProcessEngine.stream

    def noted(self, work, items):
        started.append("workers")
        return stream(self, work, items)

    monkeypatch.setattr(ProcessEngine, "stream", noted)
    words = ["abc", "", "ab", "a"] * 5

    for asked, frames in ((HERE, 9999), (workers, engine.WORTH_WORKERS - 1)):
        assert [*map_over(asked, len, words, frames=frames, threads=1)] == [3, 0, 2, 1] * 5
    assert not started
    assert [*map_over(workers, len, words, frames=engine.WORTH_WORKERS, threads=1)] == [3, 0, 2, 1] * 5
    assert started == ["workers"]


def _nothing(counter: frame_counts.FrameCounter, piece: frame_counts.Piece, methods: Sequence[str]) -> dict:
    """Count no method, and fail where one is to be counted."""
    assert not methods
    return {}


def test_other_processes_count_the_same(
    run, dataset, world, workers: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every distance and class, and what confidence is worth; what they count is kept, too."""
    monkeypatch.setattr(engine, "WORTH_WORKERS", 1)
    monkeypatch.setattr(frame_counts.FrameCounter, "_count", _nothing)  # nobody does here
    settings = {"methods": world.methods, "horizon": world.horizon}

    by_workers = evaluate(run, dataset, engine=workers, **settings)
    believed = measure_reliability(run, dataset, engine=workers, **settings)

    assert by_workers == evaluate(run, dataset, **settings)  # what they have counted is kept
    monkeypatch.undo()
    shutil.rmtree(run.counts)
    assert by_workers == evaluate(run, dataset, **settings)
    assert believed == measure_reliability(run, dataset, **settings)

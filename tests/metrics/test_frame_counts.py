"""Tests of metrics/frame_counts.py: frames are counted once, in pieces, and again where a file changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from warprefine.io.images import read_labels, write_frame, write_labels
from warprefine.io.run import RunFolder
from warprefine.metrics import frame_counts, label_quality
from warprefine.metrics.frame_counts import FrameCounter, Piece, split_walks
from warprefine.metrics.label_quality import evaluate

EVERY_FRAME = {f"{video}/{frame}" for video in ("near", "far") for frame in (0, 1, 3, 4, 5, 6)}


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of two frames, as the videos have eight."""
    monkeypatch.setattr(frame_counts, "_LENGTH", 2)


class Scoring:
    """Scores the run, and notes what is counted for it, as VIDEO/FRAME."""

    def __init__(self, run: RunFolder, dataset: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.dataset, self.world = run, dataset, world
        self.counted: set[str] = set()
        self.stop_at: tuple[int, ...] = ()
        count = FrameCounter._count

        def noted(counter: FrameCounter, piece: Piece, methods: Sequence[str]) -> Any:
            if piece.frames == self.stop_at:
                raise KeyboardInterrupt
            self.counted |= {f"{piece.video.name}/{frame}" for frame in piece.frames if methods}
            return count(counter, piece, methods)

        monkeypatch.setattr(FrameCounter, "_count", noted)

    def __call__(self, *methods: str, **settings: Any) -> Any:
        self.counted = set()
        names = methods or self.world.methods
        return evaluate(self.run, self.dataset, methods=names, horizon=self.world.horizon, **settings)


@pytest.fixture
def score(run, dataset, world, monkeypatch) -> Scoring:
    return Scoring(run, dataset, world, monkeypatch)


def test_a_walk_is_split_into_pieces_that_join(dataset, world):
    """Each frame is in one piece; the frame before its first is the last of the piece before."""
    pieces = [piece for piece in split_walks(dataset, world.horizon) if piece.video.name == "near"]

    assert [piece.walk for piece in pieces] == [(2, 3, 4), (4, 5, 6), (2, 1, 0)]
    assert {piece.key_frame for piece in pieces} == {2}


def test_pieces_give_the_scores_of_whole_walks(score, monkeypatch):
    """Confusion, boundaries and agreement add up, however the frames are divided."""
    in_pieces = score(boundaries=True)
    monkeypatch.setattr(frame_counts, "_LENGTH", 100)

    assert score() == in_pieces
    assert score.counted == EVERY_FRAME - {"near/0", "near/1", "far/0", "far/1"}, "walks of two are pieces"


def test_what_was_counted_is_not_counted_again(score):
    """The second evaluation gives the same scores without opening a frame; other rules add up the same."""
    first = score()
    assert score.counted == EVERY_FRAME

    assert score() == first
    assert score.counted == set()
    assert score(void_as_class=True) != first
    assert score.counted == set()


def test_an_evaluation_goes_on_where_it_was_stopped(score):
    """What was counted until then is kept; the scores are those of an evaluation that nobody stopped."""
    score.stop_at = (1, 0)  # the last piece of the first video
    with pytest.raises(KeyboardInterrupt):
        score()
    assert score.counted == {f"near/{frame}" for frame in (3, 4, 5, 6)}

    score.stop_at = ()
    resumed = score()
    assert score.counted == EVERY_FRAME - {f"near/{frame}" for frame in (3, 4, 5, 6)}
    for path in score.run.counts.glob("*"):
        path.unlink()
    assert score() == resumed


def test_threads_do_not_change_the_scores(score, monkeypatch):
    """Counts are whole numbers: their sum is the same in any order."""
    alone = score()
    for path in score.run.counts.glob("*"):
        path.unlink()
    monkeypatch.setattr(label_quality, "thread_count", lambda: 3)

    assert score() == alone
    assert score.counted == EVERY_FRAME


def test_a_method_that_is_added_is_counted_alone(score):
    """Labels of the others are not read again."""
    alone = score("motion-only")
    score.run.labels_path("warp-refine", "near", "003").rename(score.run.root / "away.png")

    assert score("motion-only") == alone
    assert score.counted == set()


@pytest.mark.parametrize("changed", ["labels", "truth", "frame", "key labels"])
def test_a_file_that_changed_is_counted_again(score, changed):
    """And with it the frames of its piece, and of the next where its labels are compared with theirs."""
    score("motion-only")
    video = score.dataset.videos[0]
    frame = 2 if changed == "key labels" else 4
    path = {
        "labels": score.run.labels_path("motion-only", "near", "004"),
        "truth": video.truth.get(frame),
        "frame": video.frame_paths[frame],
        "key labels": video.labels.get(frame),
    }[changed]
    if changed == "frame":
        write_frame(path, torch.zeros(1, 3, score.world.h, score.world.w, dtype=torch.uint8))
    else:
        write_labels(path, read_labels(path, score.world.classes).flip(2), score.world.classes)

    score("motion-only")

    pieces = {"labels": (3, 4, 5, 6), "truth": (3, 4), "frame": (3, 4, 5, 6), "key labels": (3, 4, 1, 0)}
    assert score.counted == {f"near/{frame}" for frame in pieces[changed]}


def test_other_numbers_of_the_classes_are_counted_again(score):
    """The same files mean other labels then."""
    score("motion-only")
    classes = replace(score.dataset.classes, file_ids=(1, 0, 2))
    score.dataset = replace(score.dataset, classes=classes)

    score("motion-only")

    assert score.counted == EVERY_FRAME


def test_damaged_counts_are_counted_again(score):
    """Half a file is as good as none."""
    whole = score()
    for path in score.run.counts.glob("*"):
        path.write_bytes(path.read_bytes()[:-5])

    assert score() == whole
    assert score.counted == EVERY_FRAME


def test_a_run_that_is_only_read_keeps_no_counts(score, run):
    """What is kept is used; nothing is added to a folder that may lie where writing is not allowed."""
    score("motion-only")
    kept = {path.name for path in run.counts.iterdir()}
    score.run = RunFolder(run.root, read_only=True)

    score()

    assert score.counted == EVERY_FRAME, "those of warp-refine"
    assert {path.name for path in run.counts.iterdir()} == kept
    score("motion-only")
    assert score.counted == set()


def test_boundaries_can_be_left_out(score):
    """They have no score then, and all others stay; counts with and without them are different ones."""
    without, scored = score(boundaries=False), score()

    for method, scores in without.items():
        assert scores.boundary_f is None
        assert scores.miou == scored[method].miou
        assert scored[method].boundary_f is not None

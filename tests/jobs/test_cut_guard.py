"""Tests of jobs/cut_guard.py: cuts are found, recorded, and no label is carried across them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine import open_dataset
from warprefine.core.continuity import Continuity
from warprefine.core.errors import RunFolderError
from warprefine.datasets.summary import summarise
from warprefine.io.images import read_labels, write_frame
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.cut_guard import CutGuard, continuity_of, cuts_of
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.usable_data import sound_videos
from warprefine.jobs.video_check import VideoCheck
from warprefine.motion import MOTIONS
from warprefine.recipe.recipe import Recipe

CUT, LENGTH = 8, 16
MOTION = MOTIONS["dis-ultrafast"]()


@pytest.fixture(scope="session")
def joined(tmp_path_factory: pytest.TempPathFactory, joined_streets: Callable[..., Path]) -> Path:
    """A video of two streets, the second from frame 8 on; all frames labelled, 3 and 12 by hand."""
    return joined_streets(tmp_path_factory.mktemp("joined") / "data", by_hand=(3, 12))


@pytest.fixture
def data(joined: Path, tmp_path: Path) -> Path:
    """A copy of the joined streets that may be changed."""
    return Path(shutil.copytree(joined, tmp_path / "data"))


def label(data: Path, out: Path, **settings: Any) -> FinishedRun:
    recipe = Recipe().changed(("propagation", "motion"), "dis-ultrafast")
    for key, value in settings.items():
        recipe = recipe.changed(("propagation", key), value)
    return autolabel(data, out, horizon="all", methods=["motion-only"], recipe=recipe)


def sources(run: FinishedRun) -> dict[int, tuple[int, ...]]:
    """Return the key frames that the labels of each frame come from."""
    return {one.frame: one.key_frames for one in run.labels("drive")}


def test_labels_are_never_carried_across_a_cut(joined: Path, tmp_path: Path) -> None:
    """Each street has the labels of its own key frame, also where that of the other is nearer in time."""
    run = label(joined, tmp_path / "run")

    assert sources(run) == {k: (3,) if k < CUT else (12,) for k in range(LENGTH)}
    assert run.dataset.videos[0].continuity == Continuity(cuts=(CUT,))
    assert cuts_of(tmp_path / "run") == {"drive": (CUT,)}
    assert FinishedRun.open(tmp_path / "run").dataset == run.dataset


def test_what_no_key_frame_of_its_shot_reaches_gets_no_labels(data: Path, tmp_path: Path) -> None:
    """It is said how many frames a cut keeps from all key frames; without the guard they get wrong labels."""
    labels, truth = data / "videos/drive/labels/000012.png", data / "videos/drive/truth/000012.png"
    labels.rename(truth)

    run = label(data, tmp_path / "run")
    without = label(data, tmp_path / "without", stop_at_cuts=False)

    assert [*sources(run)] == [*range(CUT)]
    assert "8 of 16 frames labelled, 8 out of reach (8 to 15), 8 of them because of cuts" in str(run)
    assert str(FinishedRun.open(tmp_path / "run").coverage) == str(run.coverage)
    assert [*sources(without)] == [*range(LENGTH)]
    wrong = read_labels(
        without.run.labels_path("motion-only", "drive", "000008"), run.dataset.classes
    ) != read_labels(data / "videos/drive/truth/000008.png", run.dataset.classes)
    assert float(wrong.float().mean()) > 0.2
    assert not (tmp_path / "without/continuity.json").exists()


def test_cuts_are_those_of_the_frames_that_are_needed(joined: Path, tmp_path: Path) -> None:
    """And of the sensitivity; what is found is recorded."""
    run, dataset = RunFolder(tmp_path / "run"), open_dataset(joined)

    def found(*, within: int = 16, sensitivity: float = 1.0) -> Continuity:
        guard = CutGuard(run, sensitivity=sensitivity)
        check = VideoCheck(classes=dataset.classes, motion=MOTION, guard=guard)
        sound, failures = sound_videos(dataset, check, within=within)
        guard.record()
        assert not failures
        assert continuity_of(run) == {"drive": sound.videos[0].continuity}
        return sound.videos[0].continuity

    assert found() == Continuity(cuts=(CUT,))
    assert found(sensitivity=0.1) == Continuity()
    assert found(within=2) == Continuity()  # nothing at the cut is needed


def test_a_damaged_record_is_written_anew_and_refused_by_readers(joined: Path, tmp_path: Path) -> None:
    """Whoever asks for the cuts of a run is told; the run itself replaces it."""
    run = RunFolder(tmp_path / "run")
    for damage in ("[", '{"drive": {"cuts": [7]}}', '{"drive": {"cuts": ["a"]}}'):
        (run.root / "continuity.json").write_text(damage, encoding="utf-8")

        with pytest.raises(RunFolderError, match=r"continuity\.json is damaged .*; expected what warprefine"):
            continuity_of(run)
        CutGuard(run, sensitivity=1.0).record()
        assert continuity_of(run) == {}


def test_a_run_without_a_record_has_no_cuts(tmp_path: Path) -> None:
    """Those of earlier versions have none."""
    assert continuity_of(RunFolder(tmp_path / "run")) == {}


def test_a_blank_frame_is_no_error_and_gets_no_labels(data: Path, tmp_path: Path) -> None:
    """The frames behind it keep their own key frame; nothing is left out as broken."""
    write_frame(data / "videos/drive/frames/000005.png", torch.zeros(1, 3, 96, 160, dtype=torch.uint8))

    run = label(data, tmp_path / "run")

    assert run.failures == {}
    assert run.dataset.videos[0].continuity == Continuity(cuts=(CUT,), blank=(5,))
    assert [*sources(run)] == [0, 1, 2, 3, 4, *range(CUT, LENGTH)]


def test_what_was_found_is_shown(joined: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a run's start, its report and `inspect --check` name the cut and what becomes of it."""
    line = "has 1 cut (before 8); labels are not carried across"

    run = label(joined, tmp_path / "run")

    assert f"drive {line}" in caplog.messages
    assert f"It {line}" in run.run.report_path.read_text(encoding="utf-8")
    assert f"drive {line}" in summarise(open_dataset(joined), check=True).notes
